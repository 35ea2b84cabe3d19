// SPDX-License-Identifier: BSD-2-Clause
//! Makes debug sections readable that are compressed, or that belong to a file that is not linked.
//! The result is in unlinked temporary files.
//!
//! The total size of all sections of a file is checked against the size of the file before the
//! first one is inflated.

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

/// Maximum size of inflated debug information, as a multiple of the file. What compilers emit is 3
/// to 8 times as large as its zlib or zstd form.
const LARGEST_RATIO: u64 = 64;

/// Total sizes in bytes that are allowed for every file, and for no file. The debug information of
/// the largest kernels has about 1 GiB.
const MIN_TOTAL_LIMIT: u64 = 64 << 20;
const MAX_TOTAL_LIMIT: u64 = 6 << 30;

/// Sections are inflated in parallel, each with a buffer of up to 16 MiB.
const MOST_THREADS: usize = 4;

/// A section that was made readable, or the name of the one that could not be, and why.
type Made = Result<(Section, Mmap), (&'static str, io::Error)>;

/// The data of a section as it is stored in the file; `None` if there is no such section.
pub(super) fn compressed<'data>(elf: &Elf<'data>, id: Section) -> Option<CompressedData<'data>> {
    elf.section_by_name(id.name())?.compressed_data().ok()
}

/// Inflates the compressed sections of a file of `n_bytes` bytes. With `bases`, all sections are
/// relocated.
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
    // The largest section determines the total time, so it comes first.
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
        // This thread works as well. If no other can be started, it does everything.
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

/// Checks that the total size of the sections is allowed for a file of this size.
fn check_budget(
    sections: &[(Section, CompressedData<'_>)],
    n_bytes: u64,
) -> Result<(), (&'static str, io::Error)> {
    let most = n_bytes
        .saturating_mul(LARGEST_RATIO)
        .clamp(MIN_TOTAL_LIMIT, MAX_TOTAL_LIMIT);
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
