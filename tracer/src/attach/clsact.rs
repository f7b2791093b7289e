//! Filters of a clsact qdisc: what TC has where there are no TCX links.
//!
//! A filter stays when its process is killed. Ours are known by their names and handles; whether the
//! process of one still runs is told by an abstract socket, which is of the same network namespace
//! as the filter and goes with its process, however that ends. The handle also tells whether the
//! qdisc came from us, and so goes with the last of our filters.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use aya::programs::TcAttachType;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};

use super::netlink::Netlink;

/// How the names of our filters begin.
const NAMES: &str = "synfin_";
/// The first half of the handles of our filters.
const OURS: u16 = 0x5359;
/// In the second half: the qdisc is ours, too.
const QDISC_IS_OURS: u16 = 1 << 15;
/// So many processes may have filters on a device at once; the rest of the second half is whose.
const MAX_OWNERS: u16 = 64;
/// Our filters come before all others, that these may not hide a frame.
const PRIORITY: u32 = 1;
/// Every kernel since 4.5 has them, where whoever built it wanted.
const NO_CLSACT: &str = "this kernel was built without clsact (CONFIG_NET_SCH_INGRESS)";
const NO_CLS_BPF: &str = "this kernel was built without cls_bpf (CONFIG_NET_CLS_BPF)";
/// Every protocol (`ETH_P_ALL`).
const ALL: u16 = 3;

/// Our filters on a device. They go when it is dropped.
#[derive(Debug)]
pub(super) struct Clsact {
    netlink: Netlink,
    index: u32,
    handle: TcHandle,
    filters: Vec<TcMessage>,
    _claim: UnixDatagram,
}

impl Clsact {
    /// Makes ready for filters on a device, and makes its qdisc where it has none.
    pub(super) fn new(index: u32) -> io::Result<Self> {
        let netlink = Netlink::open()?;
        let (owner, claim) = (1..=MAX_OWNERS)
            .find_map(|owner| Some((owner, claim(index, owner).ok()?)))
            .ok_or_else(|| io::Error::other("too many filters of synfin are there"))?;
        let made = match netlink.request(
            RouteNetlinkMessage::NewQueueDiscipline(qdisc(index)),
            NLM_F_CREATE | NLM_F_EXCL,
        ) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(io::Error::new(error.kind(), NO_CLSACT));
            }
            Err(error) => return Err(error),
        };
        let is_ours = made || of_ours(&netlink, index)?.iter().any(Filter::qdisc_is_ours);
        let handle = TcHandle {
            major: OURS,
            minor: owner | if is_ours { QDISC_IS_OURS } else { 0 },
        };
        Ok(Self {
            netlink,
            index,
            handle,
            filters: Vec::new(),
            _claim: claim,
        })
    }

    /// Adds a filter that runs a program.
    pub(super) fn add(
        &mut self,
        direction: TcAttachType,
        name: &str,
        program: BorrowedFd<'_>,
    ) -> io::Result<()> {
        if matches!(direction, TcAttachType::Egress) && !self.looks_both_ways()? {
            return Err(io::Error::other(
                "it has an ingress qdisc, which has no egress; `tc qdisc del dev … ingress` removes it",
            ));
        }
        let mut filter = message(self.index, parent(direction));
        filter.header.handle = self.handle;
        filter.header.info = PRIORITY << 16 | u32::from(ALL.to_be());
        let descriptor = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
        let of_filter = filter.clone();
        filter.attributes = vec![
            TcAttribute::Kind("bpf".into()),
            TcAttribute::Options(vec![
                TcOption::Bpf(TcFilterBpfOption::ProgFd(descriptor)),
                TcOption::Bpf(TcFilterBpfOption::ProgName(name.into())),
                TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
            ]),
        ];
        self.netlink
            .request(
                RouteNetlinkMessage::NewTrafficFilter(filter),
                NLM_F_CREATE | NLM_F_EXCL,
            )
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => io::Error::new(error.kind(), NO_CLS_BPF),
                _ => error,
            })?;
        self.filters.push(of_filter);
        Ok(())
    }

    /// Leaves all of it to another process, which has it as well since it was forked.
    pub(super) fn give_away(mut self) {
        self.filters.clear();
        self.handle.minor &= !QDISC_IS_OURS;
    }

    /// The other qdisc that can be in this place looks at what arrives only, and would take a filter
    /// for what leaves as one for what arrives.
    fn looks_both_ways(&self) -> io::Result<bool> {
        let qdiscs = RouteNetlinkMessage::GetQueueDiscipline(message(self.index, TcHandle::UNSPEC));
        let here = |qdisc: &TcMessage| {
            qdisc.header.index == i32_of(self.index) && qdisc.header.parent == TcHandle::CLSACT
        };
        Ok(self
            .netlink
            .list(qdiscs)?
            .into_iter()
            .flatten()
            .any(|answer| {
                matches!(answer, RouteNetlinkMessage::NewQueueDiscipline(qdisc)
                if here(&qdisc) && kind(&qdisc) == Some("clsact"))
            }))
    }
}

impl Drop for Clsact {
    fn drop(&mut self) {
        // A device that is gone took all of it along; nobody is left here to tell another failure to.
        for filter in self.filters.drain(..) {
            let _ = (self.netlink).request(RouteNetlinkMessage::DelTrafficFilter(filter), 0);
        }
        if self.handle.minor & QDISC_IS_OURS != 0 {
            let _ = remove_qdisc_if_empty(&self.netlink, self.index);
        }
    }
}

/// What was found of ours on a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Filters of processes that are no more, which were removed.
    pub filters: usize,
    /// The qdisc was removed, too.
    pub qdisc: bool,
    /// Filters of processes that still run, which stay.
    pub in_use: usize,
}

impl Swept {
    /// Whether anything was removed.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.filters > 0
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters = self.filters;
        let s = if filters == 1 { "" } else { "s" };
        let qdisc = if self.qdisc {
            " and the clsact qdisc"
        } else {
            ""
        };
        write!(
            f,
            "removed {filters} filter{s}{qdisc} of a synfin that was killed"
        )
    }
}

/// Removes what processes that are no more have left on a device.
///
/// # Errors
/// Where the kernel refuses.
pub(super) fn sweep(index: u32) -> io::Result<Swept> {
    let netlink = Netlink::open()?;
    let filters = of_ours(&netlink, index)?;
    let owners: BTreeSet<u16> = filters.iter().map(Filter::owner).collect();
    let mut swept = Swept::default();
    let mut qdisc_is_ours = false;
    for owner in owners {
        let of_owner = filters.iter().filter(|filter| filter.owner() == owner);
        // Held until all are removed, so that nobody takes the place meanwhile.
        let claimed = match claim(index, owner) {
            Ok(claimed) => claimed,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                swept.in_use += of_owner.count();
                continue;
            }
            Err(error) => return Err(error),
        };
        for Filter(filter) in of_owner.clone() {
            let filter = TcMessage::from_parts(filter.header.clone(), Vec::new());
            netlink.request(RouteNetlinkMessage::DelTrafficFilter(filter), 0)?;
            swept.filters += 1;
        }
        qdisc_is_ours |= of_owner.clone().any(Filter::qdisc_is_ours);
        drop(claimed);
    }
    if qdisc_is_ours {
        swept.qdisc = remove_qdisc_if_empty(&netlink, index)?;
    }
    Ok(swept)
}

/// How many filters there are on a device, whoever attached them.
pub(super) fn count(index: u32) -> io::Result<usize> {
    filters(&Netlink::open()?, index).map(|filters| filters.len())
}

/// A filter that was attached by synfin.
struct Filter(TcMessage);

impl Filter {
    fn new(filter: TcMessage) -> Option<Self> {
        let is_ours = filter.header.handle.major == OURS && name(&filter)?.starts_with(NAMES);
        is_ours.then_some(Self(filter))
    }

    /// Whose it is, of those on the device.
    fn owner(&self) -> u16 {
        self.0.header.handle.minor & !QDISC_IS_OURS
    }

    fn qdisc_is_ours(&self) -> bool {
        self.0.header.handle.minor & QDISC_IS_OURS != 0
    }
}

/// A socket that one process at a time can have; the error is `AddrInUse` where another one has it.
fn claim(index: u32, owner: u16) -> io::Result<UnixDatagram> {
    let name = format!("synfin/clsact/{index}/{owner}");
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

fn of_ours(netlink: &Netlink, index: u32) -> io::Result<Vec<Filter>> {
    let filters = filters(netlink, index)?.into_iter().flatten();
    Ok(filters.filter_map(Filter::new).collect())
}

/// All filters of both directions; `None` is one of another kind, which is not ours.
fn filters(netlink: &Netlink, index: u32) -> io::Result<Vec<Option<TcMessage>>> {
    let mut filters = Vec::new();
    for direction in [TcAttachType::Ingress, TcAttachType::Egress] {
        let all = message(index, parent(direction));
        for answer in netlink.list(RouteNetlinkMessage::GetTrafficFilter(all))? {
            filters.push(match answer {
                Some(RouteNetlinkMessage::NewTrafficFilter(filter)) => Some(filter),
                _ => None,
            });
        }
    }
    Ok(filters)
}

/// Removes the qdisc where no filter is left on it; tells whether it did.
fn remove_qdisc_if_empty(netlink: &Netlink, index: u32) -> io::Result<bool> {
    let is_empty = filters(netlink, index)?.is_empty();
    if is_empty {
        netlink.request(RouteNetlinkMessage::DelQueueDiscipline(qdisc(index)), 0)?;
    }
    Ok(is_empty)
}

fn qdisc(index: u32) -> TcMessage {
    let mut qdisc = message(index, TcHandle::CLSACT);
    qdisc.header.handle = TcHandle {
        major: u16::MAX,
        minor: 0,
    };
    qdisc.attributes = vec![TcAttribute::Kind("clsact".into())];
    qdisc
}

fn message(index: u32, parent: TcHandle) -> TcMessage {
    let mut message = TcMessage::with_index(i32_of(index));
    message.header.parent = parent;
    message
}

/// The kernel's indices are positive numbers of this type.
fn i32_of(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn parent(direction: TcAttachType) -> TcHandle {
    let minor = match direction {
        TcAttachType::Egress => TcHandle::MIN_EGRESS,
        _ => TcHandle::MIN_INGRESS,
    };
    TcHandle {
        major: u16::MAX,
        minor,
    }
}

fn kind(message: &TcMessage) -> Option<&str> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            TcAttribute::Kind(kind) => Some(kind.as_str()),
            _ => None,
        })
}

fn name(filter: &TcMessage) -> Option<&str> {
    let options = filter
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        });
    options.flatten().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name.as_str()),
        _ => None,
    })
}
