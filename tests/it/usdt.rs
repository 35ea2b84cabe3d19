// SPDX-License-Identifier: BSD-2-Clause
//! USDT probes in programs that gcc compiles: what is listed of them, and what ends the sessions that
//! they open. The notes are written as `<sys/sdt.h>` writes them.

use std::fs;

use retsnoop_rs::config::{GlobOrigin, GlobUse, Role};
use retsnoop_rs::spec::{ArgumentPlace, HookId, Register, ResultType, UserObject};
use retsnoop_rs::user::{FileProbes, FileSearch, UserSelection, list_probes, select_user};

use crate::gcc::compile;
use crate::noise::Noise;

const PROGRAM: &str = r#"
#define PROBE(name, semaphore, arguments) \
    __asm__ volatile ("990: nop\n" \
        ".pushsection .note.stapsdt,\"?\",\"note\"\n" \
        ".balign 4\n" \
        ".4byte 992f-991f, 994f-993f, 3\n" \
        "991: .asciz \"stapsdt\"\n" \
        "992: .balign 4\n" \
        "993: .8byte 990b\n" \
        ".8byte _.stapsdt.base\n" \
        ".8byte " #semaphore "\n" \
        ".asciz \"app\"\n.asciz \"" #name "\"\n.asciz \"" arguments "\"\n" \
        "994: .balign 4\n.popsection\n" \
        ".ifndef _.stapsdt.base\n" \
        ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
        ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n" \
        "_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n.popsection\n" \
        ".endif\n")
__attribute__((section(".probes"))) unsigned short app_start_semaphore;
long counter[4];
__attribute__((noinline)) int begin(int n)
{
    PROBE(start, app_start_semaphore, "-4@%eax 8@-16(%rbp) 4@$5 8@8(%rax,%rdx,4) 8@counter+8(%rip)");
    return n - 1;
}
__attribute__((noinline)) int again(int n)
{
    volatile char room[64] = {0};
    PROBE(start, app_start_semaphore, "-4@%edi 8@%rsi 4@$-5 8@(%rax) 8f@%xmm0");
    return n - room[0];
}
__attribute__((noinline)) char *end(void)
{
    PROBE(done, 0, "");
    return 0;
}
int main(int argc, char **argv)
{
    return begin(argc) + again(argc) + (end() != 0);
}
"#;

/// A probe in code that no symbol encloses.
const BARE: &str = r#"
__asm__ (".text\nnop\n990: nop\nret\n"
    ".pushsection .note.stapsdt,\"\",\"note\"\n"
    ".balign 4\n.4byte 992f-991f, 994f-993f, 3\n"
    "991: .asciz \"stapsdt\"\n992: .balign 4\n"
    "993: .8byte 990b, 0, 0\n.asciz \"app\"\n.asciz \"bare\"\n.asciz \"\"\n"
    "994: .balign 4\n.popsection\n");
int main(void) { return 0; }
"#;

fn list(program: &str) -> Result<FileProbes, String> {
    let mut files = list_probes(&UserObject::File(program.to_owned()))?;
    assert_eq!(files.len(), 1);
    Ok(files.remove(0))
}

fn select(glob: &str) -> UserSelection {
    let glob = GlobUse::new(glob.parse().unwrap(), GlobOrigin::Option);
    select_user(&[(Role::Entry, glob)], &FileSearch::default(), HookId(0))
}

#[test]
fn probes_are_listed_with_sites_semaphores_and_arguments() {
    let directory = tempfile::tempdir().unwrap();
    for options in [&["-O2"][..], &["-O0"], &["-O2", "-no-pie"], &["-s"]] {
        let program = compile(directory.path(), PROGRAM, options);
        let listed = list(&program).unwrap();
        assert_eq!(listed.n_damaged, 0, "{options:?}");
        let names: Vec<&str> = listed.probes.iter().map(|probe| &*probe.name).collect();
        assert_eq!(names, ["done", "start"], "{options:?}");
        let [done, start] = &listed.probes[..] else {
            unreachable!()
        };
        assert_eq!((done.sites.len(), start.sites.len()), (1, 2));
        assert_eq!(done.sites[0].site.semaphore, None);
        // It is the counter at that place in the file: 0.
        let bytes = fs::read(&program).unwrap();
        let semaphore = start.sites[0].site.semaphore.unwrap() as usize;
        assert_eq!(bytes[semaphore..semaphore + 2], [0, 0]);
        // A `nop` is where the probe is.
        assert!(
            start
                .sites
                .iter()
                .all(|it| bytes[it.site.offset as usize] == 0x90)
        );
        let first = start.sites.iter().find(|it| it.arguments.contains("%eax"));
        let arguments = &first.unwrap().site.arguments;
        let sizes: Vec<_> = arguments.iter().map(|it| (it.size, it.is_signed)).collect();
        assert_eq!(
            sizes,
            [(4, true), (8, false), (4, false), (8, false), (8, false)]
        );
        assert_eq!(arguments[2].place, Some(ArgumentPlace::Constant(5)));
        let sib = ArgumentPlace::Memory {
            base: Some(Register(80)),
            index: Some((Register(96), 2)),
            displacement: 8,
        };
        assert_eq!(arguments[3].place, Some(sib));
        // Without symbols, what the name means is not known.
        let is_known = arguments[4].place.is_some();
        assert_eq!(is_known, options != ["-s"], "{options:?}");
    }
}

#[test]
fn the_return_address_is_where_the_unwind_information_says() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), PROGRAM, &["-O2", "-fno-stack-protector"]);
    let selection = select(&format!("usdt:{program}:app:start"));
    assert_eq!(selection.functions.len(), 1, "{selection:?}");
    assert_eq!(selection.functions[0].name, "app:start");
    let sites = &selection.probes[0].sites;
    let offsets: Vec<i64> = sites
        .iter()
        .map(|site| {
            let place = site.function.unwrap().return_place;
            assert_eq!(place.register, Register(152), "the stack pointer");
            place.offset
        })
        .collect();
    // `begin` has nothing on the stack; `again` has the array, below which a leaf function does not
    // move the stack pointer.
    assert!(
        offsets.iter().all(|offset| (0..=88).contains(offset)),
        "{offsets:?}"
    );
    let functions: Vec<u64> = sites.iter().map(|it| it.function.unwrap().offset).collect();
    assert_ne!(functions[0], functions[1]);
    // With a frame pointer it is above what that points to.
    let program = compile(directory.path(), PROGRAM, &["-O0"]);
    let selection = select(&format!("usdt:{program}:app:start"));
    for site in &selection.probes[0].sites {
        let place = site.function.unwrap().return_place;
        assert_eq!((place.register, place.offset), (Register(32), 8));
    }
}

#[test]
fn results_are_judged_as_the_function_that_the_probe_is_in() {
    let directory = tempfile::tempdir().unwrap();
    for (options, start, done) in [
        (&["-g"][..], ResultType::UserInteger, ResultType::Pointer),
        (&["-g0"], ResultType::Void, ResultType::Void),
    ] {
        let program = compile(directory.path(), PROGRAM, options);
        let selection = select(&format!("usdt:{program}:app:*"));
        let results: Vec<_> = selection
            .functions
            .iter()
            .map(|function| (&*function.name, function.result))
            .collect();
        assert_eq!(results, [("app:done", done), ("app:start", start)]);
        // If another probe ends the session, no function returns.
        let selection = select(&format!("usdt:{program}:app:start=>done"));
        assert_eq!(selection.functions[0].result, ResultType::Void);
        assert_eq!(selection.probes[0].ends.len(), 1);
        assert!(
            selection.probes[0]
                .sites
                .iter()
                .all(|it| it.function.is_none())
        );
    }
}

#[test]
fn a_probe_in_no_function_needs_another_one_that_ends_its_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), BARE, &[]);
    let selection = select(&format!("usdt:{program}:app:bare"));
    assert!(selection.functions.is_empty());
    let why = selection.reports[0].why_nothing.clone().unwrap();
    assert!(why.contains("no symbol of a function encloses it"), "{why}");
    assert!(why.contains("bare=>NAME"), "{why}");
    let selection = select(&format!("usdt:{program}:app:bare=>bare"));
    assert_eq!(selection.functions.len(), 1);
    // The next hit ends a session without any other probe.
    assert!(selection.probes[0].ends.is_empty());
    let options = ["-fno-asynchronous-unwind-tables"];
    let program = compile(directory.path(), PROGRAM, &options);
    let selection = select(&format!("usdt:{program}:app:start"));
    let why = selection.reports[0].why_nothing.clone().unwrap();
    assert!(why.contains("no unwind information"), "{why}");
}

#[test]
fn what_has_no_probes_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), "int main(void) { return 0; }", &[]);
    assert!(list(&program).unwrap_err().contains("has no USDT probes"));
    let why = select(&format!("usdt:{program}:*:*")).reports[0]
        .why_nothing
        .clone();
    assert!(why.unwrap().contains("has no USDT probes"));
    assert!(list("/etc/passwd").unwrap_err().contains("no ELF file"));
    // A file of 32 bits, by its header.
    let mut bytes = fs::read(&program).unwrap();
    bytes[4] = 1;
    fs::write(&program, &bytes).unwrap();
    assert!(
        list(&program)
            .unwrap_err()
            .contains("a 32-bit architecture")
    );
}

/// Where the header of a section is in the file.
fn section_header(bytes: &[u8], name: &str) -> usize {
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    let half = |at: usize| u16::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    let (table, n_sections, names) = (word(40), half(60), half(62));
    let names = word(table + 64 * names + 24);
    let header = |number: usize| table + 64 * number;
    let named = |at: usize| {
        let start = names + word(at) as u32 as usize;
        bytes[start..].starts_with(format!("{name}\0").as_bytes())
    };
    (0..n_sections).map(header).find(|at| named(*at)).unwrap()
}

#[test]
fn a_section_of_notes_of_4_gib_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), PROGRAM, &[]);
    let mut bytes = fs::read(&program).unwrap();
    let header = section_header(&bytes, ".note.stapsdt");
    bytes[header + 32..header + 40].copy_from_slice(&(4_u64 << 30).to_le_bytes());
    fs::write(&program, &bytes).unwrap();
    let why = list(&program).unwrap_err();
    assert!(why.contains(".note.stapsdt is too large"), "{why}");
    // The file has them: it is sparse.
    fs::File::options()
        .write(true)
        .open(&program)
        .unwrap()
        .set_len(8 << 30)
        .unwrap();
    let why = list(&program).unwrap_err();
    assert!(why.contains(".note.stapsdt is too large"), "{why}");
}

#[test]
fn sections_that_overlap_cost_probes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), PROGRAM, &[]);
    let mut bytes = fs::read(&program).unwrap();
    let (notes, text) = (
        section_header(&bytes, ".note.stapsdt"),
        section_header(&bytes, ".text"),
    );
    // The notes are the code.
    bytes.copy_within(text + 24..text + 40, notes + 24);
    fs::write(&program, &bytes).unwrap();
    let listed = list(&program).unwrap();
    assert!(listed.probes.is_empty() && listed.n_damaged > 0);
}

/// A hostile file costs its probes, and no more.
#[test]
fn damaged_files_cost_their_probes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path(), PROGRAM, &["-g"]);
    let whole = fs::read(&program).unwrap();
    let notes = section_header(&whole, ".note.stapsdt");
    let frames = section_header(&whole, ".eh_frame");
    let place = |header: usize| {
        let word = |at: usize| u64::from_le_bytes(*whole[at..].first_chunk().unwrap()) as usize;
        (word(header + 24), word(header + 32))
    };
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..1 + noise.below(8) {
            let (start, size) = match noise.below(3) {
                0 => place(notes),
                1 => place(frames),
                _ => (notes.min(frames), 64 * 6),
            };
            let at = (start + noise.below(size)).min(bytes.len() - 1);
            bytes[at] = noise.below(256) as u8;
        }
        fs::write(&program, &bytes).unwrap();
        if let Ok(listed) = list(&program) {
            assert!(listed.probes.len() <= 4, "{listed:?}");
        }
        let selection = select(&format!("usdt:{program}:*:*"));
        assert!(selection.probes.len() <= 4, "{selection:?}");
    }
}
