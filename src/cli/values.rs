// SPDX-License-Identifier: BSD-2-Clause
//! The names on the command line of settings that are one of several.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::config::{BackendChoice, ColorChoice};

impl ValueEnum for BackendChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Auto,
            Self::TracingMulti,
            Self::FentryMulti,
            Self::KprobeSession,
            Self::KprobeMulti,
            Self::Fentry,
            Self::Kprobe,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => (
                "auto",
                "The best one that this kernel has for each function",
            ),
            Self::TracingMulti => (
                "tracing-multi",
                "One fsession.multi link; cheap, sees every function; newest kernels",
            ),
            Self::FentryMulti => (
                "fentry-multi",
                "One fentry.multi link and one fexit.multi link; newest kernels",
            ),
            Self::KprobeSession => (
                "kprobe-session",
                "One kprobe.session link; needs 6.10 and fprobe",
            ),
            Self::KprobeMulti => (
                "kprobe-multi",
                "Two kprobe.multi links; needs fprobe (`CONFIG_FPROBE`)",
            ),
            Self::Fentry => (
                "fentry",
                "fentry and fexit programs for each function; any kernel, slow to attach",
            ),
            Self::Kprobe => (
                "kprobe",
                "kprobe and kretprobe each; any kernel, any symbol, slow to attach",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for ColorChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Always, Self::Never]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => ("auto", "On a terminal, unless `NO_COLOR` is set"),
            Self::Always => ("always", "Always, also in files and pipes"),
            Self::Never => ("never", "Never"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}
