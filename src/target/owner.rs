// SPDX-License-Identifier: BSD-2-Clause
//! Who created a control group. A user to whom a part of the hierarchy was delegated can give
//! groups there any name, including that of a container of somebody else.

/// Who created a control group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The host: root, or a service manager or runtime that runs as root.
    #[default]
    Host,
    /// The user with this id.
    User(u32),
}

impl Owner {
    /// The creator of a cgroup with this path, in a directory that belongs to `uid`, in a hierarchy
    /// that belongs to `host`. Only somebody with write access to the directory can have created
    /// it.
    #[must_use]
    pub fn of(path: &str, uid: u32, host: u32) -> Self {
        match user_of(path) {
            Some(user) if user != host => Self::User(user),
            _ if uid != host => Self::User(uid),
            _ => Self::Host,
        }
    }

    /// The id of the user; `None` for the host.
    #[must_use]
    pub fn user(self) -> Option<u32> {
        match self {
            Self::Host => None,
            Self::User(uid) => Some(uid),
        }
    }
}

/// The user id in `/user.slice/user-UID.slice/...`.
fn user_of(path: &str) -> Option<u32> {
    let (slice, _) = path.strip_prefix("/user.slice/user-")?.split_once('/')?;
    slice.strip_suffix(".slice")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn a_group_is_of_who_may_write_where_it_is() {
        for (path, uid, expected) in [
            ("/system.slice/docker-1.scope", 0, Owner::Host),
            (
                "/system.slice/a.service/docker-1.scope",
                33,
                Owner::User(33),
            ),
            ("/user.slice/user-1000.slice/x/y", 0, Owner::User(1000)),
            (
                "/user.slice/user-1000.slice/x/y",
                100_000,
                Owner::User(1000),
            ),
            ("/user.slice/user-0.slice/x", 0, Owner::Host),
            ("/user.slice/user-0.slice/x", 7, Owner::User(7)),
            ("/user.slice/user-x.slice/x", 0, Owner::Host),
        ] {
            assert_eq!(Owner::of(path, uid, 0), expected, "{path} {uid}");
        }
    }
}
