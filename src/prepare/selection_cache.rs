// SPDX-License-Identifier: BSD-2-Clause
//! Cache of selections. A run with the same globs on the same kernel attaches at once, and reads
//! symbols and types when it has something to show.
//!
//! An entry depends only on the build ids of the kernel and its modules, on the globs, and on this
//! program. Addresses are stored as offsets from the start of their text section.

use std::collections::{BTreeMap, HashSet};
use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::notes::NotePlan;
use crate::bpf::attach::Refused;
use crate::bpf::{Attached, KernelLayout, PerCpu, Preempt, lsm_programs};
use crate::cache::{Cache, user_directory};
use crate::config::Config;
use crate::diag::Diag;
use crate::failure::Failure;
use crate::kernel::facts::KernelFiles;
use crate::kernel::images::KernelIdentity;
use crate::kernel::kallsyms::Kallsyms;
use crate::select::{Selection, TracedFunction};
use crate::spec::{Addr, Hook, HookId};

/// The start of the kernel's text, which offsets refer to.
const TEXT_SYMBOL: &str = "_stext";

/// An entry of the cache.
#[derive(Debug, Serialize, Deserialize)]
struct CacheEntry {
    functions: Vec<TracedFunction>,
    /// Number of further functions that the kernel refused. They are not stored: finding out again
    /// would take as many attempts as attaching to all others.
    n_refused: usize,
    layout: KernelLayout,
    notes: NotePlan,
    /// Build ids of the modules that contain the functions.
    modules: BTreeMap<String, Vec<u8>>,
}

/// A selection that was read from the cache.
pub(crate) struct CachedSelection {
    pub(crate) selection: Selection,
    pub(crate) n_refused: usize,
    pub(crate) layout: KernelLayout,
    pub(crate) notes: NotePlan,
}

/// The cache, opened for the globs of this run.
pub(crate) struct SelectionCache {
    cache: Cache,
    key: Vec<u8>,
    start: u64,
    modules: BTreeMap<String, u64>,
    is_loaded: bool,
}

impl SelectionCache {
    /// Opens the cache. Returns `None` if it is disabled or unusable, or if the selection depends
    /// on more than the key.
    pub(crate) fn open(config: &Config, files: &KernelFiles, diag: &Diag) -> Option<Self> {
        // With `-v` or `--dry-run` the reasons of left-out functions are needed, which are not
        // stored. Modules of `--on-load` are not loaded yet and are only known by their files.
        let is_plain = config.cache && config.on_load.modules.is_empty();
        if !is_plain || config.run.dry_run || config.run.verbosity > 0 {
            return None;
        }
        // The functions of a source file depend on the image and on the modules' debug files.
        if config.globs.name_sources() {
            return None;
        }
        // Numbers of events change from one boot to the next.
        if config.globs.name_events() {
            return None;
        }
        // Programs at LSM hooks come and go.
        if config.refusals && !lsm_programs().is_empty() {
            return None;
        }
        // User functions depend on their files.
        if config.globs.name_user_functions() {
            return None;
        }
        let start = files.kcore().ok()?.symbol(TEXT_SYMBOL)?.0;
        let modules = loaded_modules(files)?;
        let key = key(config, files, &modules)?;
        match Cache::open(&user_directory()?) {
            Ok(cache) => Some(Self {
                cache,
                key,
                start,
                modules,
                is_loaded: false,
            }),
            Err(error) => {
                diag.info(1, format!("nothing is kept for the next run: {error:#}"));
                None
            }
        }
    }

    /// Returns the cached selection; `None` if there is none or if a module has changed.
    pub(crate) fn load(&mut self, files: &KernelFiles) -> Option<CachedSelection> {
        let kept: CacheEntry = serde_json::from_slice(&self.cache.get(&self.key)?).ok()?;
        let holds =
            |(module, id): (&String, &Vec<u8>)| build_id(files, module).as_ref() == Some(id);
        if !kept.modules.iter().all(holds) {
            return None;
        }
        let mut functions = kept.functions;
        for function in &mut functions {
            let base = self.base(function)?;
            function.hook = Hook::KernelFunction(Addr(base.wrapping_add(function.addr().0)));
        }
        self.is_loaded = true;
        Some(CachedSelection {
            selection: Selection {
                functions,
                ..Selection::default()
            },
            n_refused: kept.n_refused,
            layout: moved(kept.layout, self.start),
            notes: kept.notes.renumbered(files).moved(self.start),
        })
    }

    /// Checks the cached functions against the symbols, which are read after tracing has started.
    ///
    /// # Errors
    /// Fails if functions have moved: kernels with FG-KASLR move each function at boot. The entry
    /// is removed.
    pub(crate) fn check(&self, functions: &[TracedFunction], kallsyms: &Kallsyms) -> Result<()> {
        if !self.is_loaded || are_there(functions, kallsyms) {
            return Ok(());
        }
        // If it cannot be removed, the next run reports the same error.
        let _ = self.cache.put(&self.key, &[]);
        Err(Failure::hinted(
            "the kernel's functions are not where an earlier run found them",
            "run it again: where they are is found out anew, as always with --no-cache",
        ))
    }

    /// Stores a selection, which must be [`Self::is_cacheable`]. Functions that the kernel refuses
    /// permanently are omitted. A selection that came from the cache is not stored again.
    pub(crate) fn store(
        &self,
        functions: &[TracedFunction],
        attached: &Attached,
        layout: KernelLayout,
        notes: &NotePlan,
        files: &KernelFiles,
    ) {
        if self.is_loaded {
            return;
        }
        // A failure only makes the next run slower.
        let _ = self.try_keep(functions, attached, layout, notes, files);
    }

    /// Returns true if a run with this selection has no warnings to repeat.
    pub(crate) fn is_cacheable(selection: &Selection) -> bool {
        let is_plain = selection.deferred.is_empty() && selection.forced.is_empty();
        let mut globs = selection.globs.iter();
        is_plain && globs.all(|glob| !glob.is_users() || glob.why_nothing().is_none())
    }

    fn try_keep(
        &self,
        functions: &[TracedFunction],
        attached: &Attached,
        layout: KernelLayout,
        notes: &NotePlan,
        files: &KernelFiles,
    ) -> Option<()> {
        let (mut functions, n_refused) = lasting(functions, &attached.refused);
        let mut modules = BTreeMap::new();
        for function in &mut functions {
            let base = self.base(function)?;
            function.hook = Hook::KernelFunction(Addr(function.addr().0.wrapping_sub(base)));
            if let Some(module) = &function.module
                && !modules.contains_key(module)
            {
                modules.insert(module.clone(), build_id(files, module)?);
            }
        }
        let kept = CacheEntry {
            functions,
            n_refused,
            layout: moved(layout, self.start.wrapping_neg()),
            notes: notes.clone().moved(self.start.wrapping_neg()),
            modules,
        };
        let value = serde_json::to_vec(&kept).ok()?;
        self.cache.put(&self.key, &value).ok()
    }

    /// Returns the start of the text that contains a function.
    fn base(&self, function: &TracedFunction) -> Option<u64> {
        match &function.module {
            None => Some(self.start),
            Some(module) => self.modules.get(module).copied(),
        }
    }
}

/// Returns true if the kernel's own functions have the given addresses.
fn are_there(functions: &[TracedFunction], kallsyms: &Kallsyms) -> bool {
    let mut own = functions
        .iter()
        .filter(|function| function.module.is_none());
    own.all(|function| {
        let here = kallsyms.starts_at(function.addr());
        let names = here.map(|index| kallsyms.namesakes_of_address(index));
        names.is_some_and(|mut names| names.any(|at| kallsyms.symbol(at).name == function.name))
    })
}

/// Returns the functions without those that were refused permanently, with new ids, and the number
/// of the latter. A function that was refused for lack of memory or because it was in use may be
/// accepted the next time.
fn lasting(functions: &[TracedFunction], refused: &[Refused]) -> (Vec<TracedFunction>, usize) {
    let refused: HashSet<HookId> = refused
        .iter()
        .filter(|refused| refused.is_final)
        .map(|refused| refused.func)
        .collect();
    let taken = functions
        .iter()
        .filter(|function| !refused.contains(&function.id));
    let numbered = (0..).zip(taken).map(|(id, function)| TracedFunction {
        id: HookId(id),
        ..function.clone()
    });
    (numbered.collect(), refused.len())
}

/// Returns the layout with addresses moved by `distance`, modulo 2^64.
fn moved(layout: KernelLayout, distance: u64) -> KernelLayout {
    let preempt = match layout.preempt {
        Preempt::Address(per_cpu) => Preempt::Address(PerCpu {
            // The other member is an offset from each CPU's base, which does not move.
            per_cpu_offset: Addr(per_cpu.per_cpu_offset.0.wrapping_add(distance)),
            ..per_cpu
        }),
        other => other,
    };
    KernelLayout { preempt, ..layout }
}

/// Returns a key of everything that a selection depends on.
fn key(config: &Config, files: &KernelFiles, modules: &BTreeMap<String, u64>) -> Option<Vec<u8>> {
    let kernel = KernelIdentity::read(&files.path("")).ok()?;
    let build_id = kernel.build_id?;
    // The identity of this program: another build may select differently.
    let program = fs::metadata(env::current_exe().ok()?).ok()?;
    let program = (
        program.dev(),
        program.ino(),
        program.size(),
        program.mtime(),
    );
    let modules: Vec<&String> = modules.keys().collect();
    let what = (
        &config.globs,
        config.backend,
        config.all_matching,
        config.refusals,
        config.sessions.messages,
    );
    Some(format!("selection {program:?} {build_id:?} {modules:?} {what:?}").into_bytes())
}

/// Returns the loaded modules with the load addresses of their text.
fn loaded_modules(files: &KernelFiles) -> Option<BTreeMap<String, u64>> {
    let text = fs::read_to_string(files.path("proc/modules")).ok()?;
    text.lines().map(module_of_line).collect()
}

/// Parses a line `name size references users state 0xaddress`.
fn module_of_line(line: &str) -> Option<(String, u64)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let address = words.find_map(|word| word.strip_prefix("0x"))?;
    Some((name.to_owned(), u64::from_str_radix(address, 16).ok()?))
}

fn build_id(files: &KernelFiles, module: &str) -> Option<Vec<u8>> {
    let path = format!("sys/module/{module}/notes/.note.gnu.build-id");
    fs::read(files.path(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::{are_there, lasting, module_of_line};
    use crate::bpf::attach::Refused;
    use crate::kernel::kallsyms::Kallsyms;
    use crate::select::TracedFunction;
    use crate::spec::{Addr, Hook, HookId, ResultType};

    fn function((id, name): (u32, &str)) -> TracedFunction {
        TracedFunction {
            id: HookId(id),
            name: name.to_owned(),
            module: None,
            hook: Hook::KernelFunction(Addr(0xffff_ffff_8100_0000 + 0x100 * u64::from(id))),
            size: 1,
            entry: None,
            result: ResultType::Signed(4),
            prototype: None,
            parameters: Vec::new(),
        }
    }

    #[test]
    fn functions_that_moved_one_by_one_are_noticed() {
        let kallsyms = Kallsyms::parse(
            b"ffffffff81000000 T _stext\n\
              ffffffff81000000 T first\n\
              ffffffff81000100 T second\n\
              ffffffff81000100 T alias\n\
              ffffffff81000210 T third\n"
                .to_vec(),
        )
        .unwrap();
        let are_there = |functions: &[(u32, &str)]| {
            let functions: Vec<TracedFunction> = functions.iter().copied().map(function).collect();
            are_there(&functions, &kallsyms)
        };
        assert!(are_there(&[(0, "first"), (1, "alias"), (1, "second")]));
        assert!(!are_there(&[(0, "first"), (2, "third")]));
        assert!(!are_there(&[(1, "first")]));
    }

    #[test]
    fn only_what_is_refused_for_good_is_left_out_the_next_time() {
        let refused = |(id, is_final)| Refused {
            func: HookId(id),
            why: String::new(),
            is_final,
        };
        let functions = [(0, "a"), (1, "unknown"), (2, "busy"), (3, "b")].map(function);
        let (kept, n_refused) = lasting(&functions, &[(1, true), (2, false)].map(refused));
        let kept: Vec<(u32, &str)> = kept
            .iter()
            .map(|function| (function.id.0, &*function.name))
            .collect();
        assert_eq!(kept, [(0, "a"), (1, "busy"), (2, "b")]);
        assert_eq!(n_refused, 1);
    }

    #[test]
    fn a_module_is_read_with_its_address() {
        assert_eq!(
            module_of_line("overlay 229376 1 - Live 0xffffffffc0800000"),
            Some(("overlay".to_owned(), 0xffff_ffff_c080_0000))
        );
        assert_eq!(
            module_of_line("xt 1 2 a,b, Live 0x0000000000000010 (OE)"),
            Some(("xt".to_owned(), 0x10))
        );
        assert_eq!(module_of_line("xt 1 2"), None);
        assert_eq!(module_of_line(""), None);
    }
}
