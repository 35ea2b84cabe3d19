// SPDX-License-Identifier: BSD-2-Clause
//! Debug sections that are compressed, or of a file that is not linked → bytes that can be read,
//! in unlinked temporary files.
//!
//! What all sections of a file may grow to is bounded by the size of the file, before the first of
//! them is inflated.

use std::io;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use memmap2::Mmap;
use object::Object;
use object::ObjectSection;
use object::read::{CompressedData, CompressionFormat};

use super::dwarf::Section;
use super::guard::guarded;
use super::image::Elf;
use super::inflate::{temporary_file, write_plain};
use super::map::{map, map_writable};
use super::relocate::{Bases, relocate};

/// What compressed debug information may grow to, as a multiple of the file. Compilers' is 3 to 8
/// times as large as what zlib or zstd make of it.
const LARGEST_RATIO: u64 = 64;

/// What any file's may grow to, and what none's may, in bytes. The debug information of the
/// largest kernels has about 1 GiB.
const ALWAYS: u64 = 64 << 20;
const NEVER: u64 = 6 << 30;

/// Sections are inflated side by side, each with a buffer of up to 16 MiB.
const MOST_THREADS: usize = 4;

/// A section that was made, or the one that could not be and why.
type Made = Result<(Section, Mmap), (&'static str, io::Error)>;

/// The data of a section as it is in the file; `None` where there is none to be had.
pub(super) fn compressed<'data>(elf: &Elf<'data>, id: Section) -> Option<CompressedData<'data>> {
    elf.section_by_name(id.name())?.compressed_data().ok()
}

/// Inflates what is compressed in a file of so many bytes; with `bases`, relocates all sections.
pub(super) fn make_readable(
    elf: &Elf<'_>,
    bases: Option<&Bases>,
    n_bytes: u64,
) -> Result<Vec<(Section, Mmap)>, (&'static str, io::Error)> {
    let sections = Section::ALL.iter().filter_map(|section| {
        let data = compressed(elf, *section)?;
        let is_needed = bases.is_some() || data.format != CompressionFormat::None;
        is_needed.then_some((*section, data))
    });
    let mut sections: Vec<_> = sections.collect();
    // The largest decides how long it takes.
    sections.sort_by_key(|(_, data)| u64::MAX - data.uncompressed_size);
    check_budget(&sections, n_bytes)?;
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::<Made>::new()));
    let work = || {
        while let Some((id, data)) = sections.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = make(elf, *id, data, bases);
            if let Ok(mut made) = made.lock() {
                made.push(
                    one.map(|mapping| (*id, mapping))
                        .map_err(|error| (id.name(), error)),
                );
            }
        }
    };
    let n_threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // This thread works, too. Where no other can be started it does everything.
        for _ in 1..n_threads.min(MOST_THREADS).min(sections.len()) {
            let _ = thread::Builder::new().spawn_scoped(scope, || guarded(work));
        }
        work();
    });
    let made = made.into_inner().unwrap_or_default();
    if made.len() < sections.len() {
        let name = sections.first().map_or("", |(id, _)| id.name());
        return Err((name, io::Error::other("a thread that inflates it ended")));
    }
    made.into_iter().collect()
}

/// Whether the sections together stay within what a file of this size may have.
fn check_budget(
    sections: &[(Section, CompressedData<'_>)],
    n_bytes: u64,
) -> Result<(), (&'static str, io::Error)> {
    let most = n_bytes.saturating_mul(LARGEST_RATIO).clamp(ALWAYS, NEVER);
    let mut total = 0_u64;
    for (id, data) in sections {
        total = total.saturating_add(data.uncompressed_size);
        if total > most {
            let why = format!(
                "its debug sections claim to be more than {} MiB, which is too much for a file of {} KiB",
                most >> 20,
                n_bytes >> 10
            );
            return Err((id.name(), io::Error::other(why)));
        }
    }
    Ok(())
}

fn make(
    elf: &Elf<'_>,
    id: Section,
    data: &CompressedData<'_>,
    bases: Option<&Bases>,
) -> io::Result<Mmap> {
    let mut file = temporary_file()?;
    write_plain(data, &mut file)?;
    if let Some(bases) = bases
        && data.uncompressed_size > 0
    {
        let mut bytes = map_writable(&file)?;
        relocate(elf, id.name(), &mut bytes, bases);
    }
    map(&file)
}

#[cfg(test)]
mod tests {
    use object::read::{CompressedData, CompressionFormat};

    use super::check_budget;
    use crate::symbolize::dwarf::Section;

    #[test]
    fn what_a_file_inflates_to_is_bounded_by_its_size() {
        let claims = |sizes: &[u64], n_bytes| {
            let data = |size: &u64| CompressedData {
                format: CompressionFormat::Zlib,
                data: &[],
                uncompressed_size: *size,
            };
            let sections: Vec<_> = sizes
                .iter()
                .map(|size| (Section::Info, data(size)))
                .collect();
            check_budget(&sections, n_bytes).is_ok()
        };
        assert!(claims(&[1 << 30], 100 << 20));
        assert!(claims(&[10 << 20, 20 << 20], 1 << 10));
        assert!(!claims(&[40 << 20, 40 << 20], 1 << 10));
        assert!(!claims(&[4 << 30, 3 << 30], 1 << 40));
        assert!(!claims(&[u64::MAX, u64::MAX], u64::MAX));
    }
}
