// SPDX-License-Identifier: BSD-2-Clause
//! `lsm:HOOK`: the functions of a hook of the Linux security modules. The kernel calls
//! `security_HOOK`, which asks each module in turn; the modules' functions are named after the hook.

use crate::spec::GlobSpec;

/// Prefixes of the functions that security modules have for a hook. Landlock's is `hook_`.
const MODULE_PREFIXES: [&str; 14] = [
    "selinux_",
    "apparmor_",
    "smack_",
    "tomoyo_",
    "yama_",
    "loadpin_",
    "safesetid_",
    "ima_",
    "evm_",
    "ipe_",
    "lockdown_",
    "cap_",
    "bpf_lsm_",
    "hook_",
];

/// A hook, or a glob of hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LsmHooks {
    /// `security_HOOK`.
    pub caller: GlobSpec,
    /// The functions of the modules.
    pub modules: GlobSpec,
}

impl LsmHooks {
    /// Parses what follows `lsm:`.
    pub(super) fn parse(hook: &str) -> Result<Self, String> {
        if hook.is_empty() {
            return Err("hooks are written lsm:HOOK, such as `lsm:file_open`".to_owned());
        }
        if hook.starts_with("security_") {
            return Err(format!(
                "hooks are named without `security_`: `lsm:{}`",
                hook.trim_start_matches("security_")
            ));
        }
        let modules = format!("{{{}}}{hook}", MODULE_PREFIXES.join(","));
        Ok(Self {
            caller: format!("security_{hook}").parse()?,
            modules: modules.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::LsmHooks;

    #[test]
    fn a_hook_is_the_function_that_asks_and_those_that_answer() {
        let hooks = LsmHooks::parse("file_open").unwrap();
        assert!(hooks.caller.matches("security_file_open", None));
        for name in ["apparmor_file_open", "selinux_file_open", "hook_file_open"] {
            assert!(hooks.modules.matches(name, None), "{name}");
        }
        assert!(!hooks.modules.matches("vfs_file_open", None));
        let hooks = LsmHooks::parse("inode_*").unwrap();
        assert!(hooks.caller.matches("security_inode_unlink", None));
        assert!(hooks.modules.matches("smack_inode_unlink", None));
    }

    #[test]
    fn what_is_no_hook_is_said() {
        assert!(LsmHooks::parse("").unwrap_err().contains("lsm:HOOK"));
        let why = LsmHooks::parse("security_file_open").unwrap_err();
        assert!(why.contains("`lsm:file_open`"), "{why}");
        assert!(LsmHooks::parse("file open").is_err());
    }
}
