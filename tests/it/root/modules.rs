// SPDX-License-Identifier: BSD-2-Clause
//! Functions of modules that are loaded: traced by name and by `[module]`.

use std::fs::File;
use std::process::Command;
use std::thread;

use super::harness::{Report, Trace, kernel};
use super::sys;

/// Has `tun`'s ioctl fail in a thread called `tunneler`, while these are traced.
fn traced(allow: &[&str]) -> Report {
    let loaded = Command::new("modprobe").arg("tun").status().unwrap();
    assert!(loaded.success());
    let mut arguments = vec!["-e", "__x64_sys_ioctl", "-n", "tunneler", "-sn"];
    for glob in allow {
        arguments.extend(["-a", glob]);
    }
    let trace = Trace::start(&arguments);
    let thread = thread::Builder::new().name("tunneler".to_owned());
    let fail = || {
        let tun = File::options().read(true).write(true).open("/dev/net/tun");
        sys::fail_tun_setiff(&tun.unwrap());
    };
    thread.spawn(fail).unwrap().join().unwrap();
    trace.finish()
}

#[test]
fn functions_of_a_loaded_module_are_traced_by_name_and_by_module() {
    for glob in ["__tun_chr_ioctl", "__tun_chr_ioctl [tun]", "* [tun]"] {
        let report = traced(&[glob]);
        assert_eq!(
            report.of("tunneler").len(),
            1,
            "{glob}: {:?} {}",
            report.summary,
            report.stderr
        );
        let session = report.only("tunneler");
        let chain = session.chain();
        if report
            .stderr
            .contains("no type information for this symbol")
        {
            // 5.10 has no types of modules, and trampolines take nothing without.
            assert_eq!(kernel(), "5.10", "{}", report.stderr);
            continue;
        }
        assert!(chain.contains(&"__tun_chr_ioctl"), "{glob}: {chain:?}");
        let row = session
            .stack()
            .iter()
            .find(|row| row["function"] == "__tun_chr_ioctl")
            .unwrap_or_else(|| panic!("{glob}: {:?}", session.stack_functions()));
        assert_eq!(row["module"], "tun", "{row}");
    }
}

#[test]
fn a_function_is_not_sought_in_other_modules_than_the_one_named() {
    let report = traced(&["__tun_chr_ioctl [dummy]"]);
    assert_eq!(report.only("tunneler").chain(), ["__x64_sys_ioctl"]);
    assert!(
        report
            .stderr
            .contains("`__tun_chr_ioctl [dummy]` matches no function"),
        "{}",
        report.stderr
    );
}
