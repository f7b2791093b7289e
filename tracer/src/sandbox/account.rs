//! Whom a process of root's becomes.

use std::fmt;
use std::str::FromStr;

use caps::securebits::set_keepcaps;
use nix::errno::Errno;
use nix::sys::prctl::{get_pdeathsig, set_pdeathsig};
use nix::unistd::{Gid, Group, Uid, User, getresuid, setgroups, setresgid, setresuid};

use super::SandboxError;

/// The user that has nothing, and its number where a system gives it none (see user_namespaces(7)).
const NOBODY: &str = "nobody";
const OVERFLOW_ID: u32 = 65_534;

/// An unprivileged user and its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// The user who has nothing.
    #[must_use]
    pub fn nobody() -> Self {
        NOBODY.parse().unwrap_or_else(|_| Self {
            name: NOBODY.into(),
            uid: Uid::from_raw(OVERFLOW_ID),
            gid: Gid::from_raw(OVERFLOW_ID),
        })
    }
}

/// `USER[:GROUP]`, each a name or a number.
impl FromStr for Account {
    type Err = SandboxError;

    fn from_str(words: &str) -> Result<Self, SandboxError> {
        let (user, group) = match words.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (words, None),
        };
        let no_user = || SandboxError::NoUser(user.into());
        let entry = match user.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(user),
        };
        // A system without a list of users has numbers all the same.
        let entry = entry.ok().flatten();
        let (name, uid) = match (&entry, user.parse()) {
            (Some(entry), _) => (entry.name.clone(), entry.uid),
            (None, Ok(uid)) => (user.to_owned(), Uid::from_raw(uid)),
            (None, Err(_)) => return Err(no_user()),
        };
        let gid = match (group, entry) {
            (Some(group), _) => find_group(group)?,
            (None, Some(entry)) => entry.gid,
            (None, None) => return Err(SandboxError::NoEntry(uid.as_raw())),
        };
        if uid.is_root() || gid.as_raw() == 0 {
            return Err(SandboxError::Root);
        }
        Ok(Self { name, uid, gid })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.name, self.uid, self.gid)
    }
}

fn find_group(group: &str) -> Result<Gid, SandboxError> {
    if let Ok(gid) = group.parse() {
        return Ok(Gid::from_raw(gid));
    }
    let entry = Group::from_name(group).ok().flatten();
    let entry = entry.ok_or_else(|| SandboxError::NoGroup(group.into()))?;
    Ok(entry.gid)
}

/// Becomes the user that was asked for, or nobody where the process is root's; its permitted
/// capabilities stay where `keep` says so. Gives who it is then, and why it is still root where it is:
/// some containers have a root that can become nobody else, and give it what synfin needs all the same.
pub(super) fn leave_root(
    asked: Option<&Account>,
    keep: bool,
) -> Result<(Option<Account>, Option<SandboxError>), SandboxError> {
    if let Some(account) = asked {
        account.enter(keep)?;
        return Ok((Some(account.clone()), None));
    }
    let ids = getresuid().map_err(|errno| SandboxError::system("ask for the user", errno))?;
    if ![ids.real, ids.effective, ids.saved]
        .iter()
        .any(|id| id.is_root())
    {
        return Ok((None, None));
    }
    let nobody = Account::nobody();
    Ok(match nobody.enter(keep) {
        Ok(()) => (Some(nobody), None),
        Err(error) => (None, Some(error)),
    })
}

impl Account {
    fn enter(&self, keep: bool) -> Result<(), SandboxError> {
        let refused = |errno: Errno| SandboxError::Switch {
            user: self.to_string(),
            reason: match errno {
                Errno::EPERM => "CAP_SETUID and CAP_SETGID are missing".into(),
                Errno::EINVAL => "this user namespace does not have it".into(),
                errno => std::io::Error::from(errno).to_string(),
            },
        };
        if keep {
            set_keepcaps(true).map_err(SandboxError::capabilities("keep a capability"))?;
        }
        // Who asked to take this process along still wants to: the kernel forgets it here (see prctl(2)).
        let with_parent = get_pdeathsig().ok().flatten();
        setgroups(&[]).map_err(refused)?;
        setresgid(self.gid, self.gid, self.gid).map_err(refused)?;
        setresuid(self.uid, self.uid, self.uid).map_err(refused)?;
        if with_parent.is_some() {
            set_pdeathsig(with_parent)
                .map_err(|errno| SandboxError::system("end with its parent", errno))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_group_can_be_numbers() {
        let account: Account = "12345:54321".parse().unwrap();
        assert_eq!(account.to_string(), "12345 (12345:54321)");
    }

    #[test]
    fn a_number_without_entry_needs_its_group() {
        let error = "4000000000".parse::<Account>().unwrap_err();
        assert!(error.to_string().contains("4000000000:GID"), "{error}");
    }

    #[test]
    fn who_is_not_there_is_named() {
        let user = "no-such-user".parse::<Account>().unwrap_err();
        assert!(user.to_string().contains("no-such-user"), "{user}");
        let group = "12345:no-such-group".parse::<Account>().unwrap_err();
        assert!(group.to_string().contains("no-such-group"), "{group}");
    }

    #[test]
    fn root_and_its_group_are_refused() {
        for words in ["root", "0:0", "0:12345", "12345:0"] {
            let error = words.parse::<Account>().unwrap_err();
            assert!(matches!(error, SandboxError::Root), "{words}: {error}");
        }
    }
}
