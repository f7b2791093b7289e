//! The kernel's counts of connections, by key.

use std::cell::RefCell;

use aya::maps::{HashMap, MapData};
use synfin_ebpf::account::Accounts;
use synfin_ebpf::flow::{Key, Ledgers};

const KEY_WORDS: usize = size_of::<Key>() / size_of::<u64>();
const VALUE_WORDS: usize = size_of::<Ledgers>() / size_of::<u64>();

/// The table, of which each connection's counts are taken when it is over.
pub struct AccountTable(RefCell<HashMap<MapData, [u64; KEY_WORDS], [u64; VALUE_WORDS]>>);

impl AccountTable {
    /// Reads this map.
    #[must_use]
    pub const fn new(map: HashMap<MapData, [u64; KEY_WORDS], [u64; VALUE_WORDS]>) -> Self {
        Self(RefCell::new(map))
    }

    /// What is counted of a connection; `None` where nothing is, or the kernel does not say.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Accounts> {
        let value = self.0.borrow().get(&key.words(), 0).ok()?;
        let octets = value.map(u64::to_ne_bytes);
        Some(Accounts::decode(octets.as_flattened()))
    }

    /// Takes what is counted of a connection, which is forgotten.
    pub fn take(&self, key: &Key) -> Option<Accounts> {
        let accounts = self.get(key);
        // Where it is gone already there is nothing to forget.
        let _ = self.0.borrow_mut().remove(&key.words());
        accounts
    }
}
