// SPDX-License-Identifier: BSD-2-Clause
//! Selects user functions and USDT probes: globs and files to functions, every one that is left out with its reason.

use std::collections::{BTreeMap, BTreeSet};

use super::elf::ElfBytes;
use super::errno::errno_places;
use super::files::{OpenFiles, UserFile, in_each};
use super::locate::FileSearch;
use super::symbols::{Functions, UserSymbol, result_types};
use super::usdt::WantedProbes;
use crate::config::{GlobUse, Role};
use crate::select::TracedFunction;
use crate::spec::{
    EntryReason, ErrnoPlace, GlobKind, Hook, HookId, ObjectId, ResultType, TracedProbe, UserGlob,
    nearest,
};

/// What one glob selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserReport {
    /// What the functions are for.
    pub role: Role,
    /// The glob.
    pub glob: GlobUse,
    /// Number of functions or probes that it selected; for a deny glob, that it denied.
    pub n_functions: usize,
    /// Why it selected nothing; `None` if it selected a function.
    pub why_nothing: Option<String>,
    /// Number of functions that match, and are left out with a reason.
    pub n_left_out: usize,
}

/// The user functions of a run.
#[derive(Debug, Default)]
pub struct UserSelection {
    /// The files; the index is the [`ObjectId`].
    pub files: Vec<UserFile>,
    /// In which of the surroundings, by their index, a file was found.
    pub holders: Vec<(usize, ObjectId)>,
    /// The functions, in order of file and offset, with ids from the first one that was given. The
    /// hooks of USDT probes follow, in order of file and name.
    pub functions: Vec<TracedFunction>,
    /// Where functions that return -1 have their errno, if that is known.
    pub errno_places: Vec<(HookId, ErrnoPlace)>,
    /// What is attached to for the USDT probes among them.
    pub probes: Vec<TracedProbe>,
    /// Matching functions and probes that are not traced: name, name of the file, reason.
    pub left_out: Vec<(String, String, String)>,
    /// The result of each glob, in the order given.
    pub reports: Vec<UserReport>,
}

/// A function that is wanted.
#[derive(Clone, Debug)]
struct WantedFunction {
    name: String,
    size: u64,
    is_entry: bool,
    result: Option<ResultType>,
}

/// Selects the user functions and USDT probes that the globs match. Files are looked for as `search`
/// says. `first_id` is the id of the first one.
#[must_use]
pub fn select_user(
    globs: &[(Role, GlobUse)],
    search: &FileSearch,
    first_id: HookId,
) -> UserSelection {
    let mut files = OpenFiles::new(search);
    let mut wanted: BTreeMap<(ObjectId, u64), WantedFunction> = BTreeMap::new();
    let mut probes = WantedProbes::default();
    let mut selection = UserSelection::default();
    // Deny globs come last, because they take away what the others have selected.
    for (role, glob) in globs.iter().filter(|(role, _)| *role != Role::Deny) {
        let left_out = &mut selection.left_out;
        let n_before = left_out.len();
        let report = match glob.spec.kind() {
            GlobKind::User(user) => add(user, *role, &mut files, &mut wanted, left_out),
            GlobKind::Usdt(usdt) => probes.add(usdt, *role, &mut files),
            GlobKind::Function { .. } | GlobKind::Source(_) | GlobKind::Event(_) => continue,
        };
        let n_left_out = selection.left_out.len() - n_before;
        selection
            .reports
            .push(report_of(*role, glob, report, n_left_out));
    }
    for (role, glob) in globs.iter().filter(|(role, _)| *role == Role::Deny) {
        let why = format!("denied by {glob}");
        let left_out = &mut selection.left_out;
        let n_before = left_out.len();
        let report = match glob.spec.kind() {
            GlobKind::User(user) => deny(user, &why, &mut files, &mut wanted, left_out),
            GlobKind::Usdt(usdt) => probes.deny(usdt, &mut files, &why),
            GlobKind::Function { .. } | GlobKind::Source(_) | GlobKind::Event(_) => continue,
        };
        let n_left_out = selection.left_out.len() - n_before;
        selection
            .reports
            .push(report_of(*role, glob, report, n_left_out));
    }
    add_result_types(&files, &mut wanted);
    let named = wanted.into_iter().zip(first_id.0..);
    selection.functions = named
        .map(|(((object, offset), wanted), id)| TracedFunction {
            id: HookId(id),
            name: wanted.name,
            module: Some(files.name(object)),
            hook: Hook::UserFunction { object, offset },
            size: wanted.size,
            entry: wanted.is_entry.then_some(EntryReason::UserFunction),
            result: wanted.result.unwrap_or(ResultType::UserInteger),
            prototype: None,
            parameters: Vec::new(),
        })
        .collect();
    selection.errno_places = errno_places_of(&files, &selection.functions);
    selection.left_out.append(&mut probes.left_out);
    let first_probe = HookId(first_id.0 + selection.functions.len() as u32);
    let (hooks, probes) = probes.into_traced(&files, first_probe);
    selection.functions.extend(hooks);
    selection.probes = probes;
    selection.files = files.files;
    selection.holders = files.holders.into_iter().collect();
    selection
}

/// Adds the result types that the debug information has, where no glob says how results are judged.
fn add_result_types(files: &OpenFiles<'_>, wanted: &mut BTreeMap<(ObjectId, u64), WantedFunction>) {
    let mut unjudged: BTreeMap<ObjectId, BTreeSet<u64>> = BTreeMap::new();
    for ((object, offset), _) in wanted.iter().filter(|(_, wanted)| wanted.result.is_none()) {
        unjudged.entry(*object).or_default().insert(*offset);
    }
    for (object, offsets) in unjudged {
        let file = &files.file(object).file;
        for (offset, result) in result_types(file, &offsets) {
            if let Some(wanted) = wanted.get_mut(&(object, offset)) {
                wanted.result = Some(result);
            }
        }
    }
}

/// Returns where the functions that are judged as those of the C library have their errno.
fn errno_places_of(
    files: &OpenFiles<'_>,
    functions: &[TracedFunction],
) -> Vec<(HookId, ErrnoPlace)> {
    let mut of_files: BTreeMap<ObjectId, (Vec<HookId>, Vec<u64>)> = BTreeMap::new();
    for function in functions {
        if let (ResultType::MinusOne, Some((object, offset))) =
            (function.result, function.hook.user_function())
        {
            let (ids, offsets) = of_files.entry(object).or_default();
            ids.push(function.id);
            offsets.push(offset);
        }
    }
    let of_file = |(object, (ids, offsets)): (ObjectId, (Vec<HookId>, Vec<u64>))| {
        let places = errno_places(ElfBytes::File(&files.file(object).file), &offsets);
        let places = ids.into_iter().zip(places);
        places.filter_map(|(id, place)| Some((id, place?)))
    };
    of_files.into_iter().flat_map(of_file).collect()
}

fn report_of(
    role: Role,
    glob: &GlobUse,
    found: Result<usize, String>,
    n_left_out: usize,
) -> UserReport {
    UserReport {
        role,
        glob: glob.clone(),
        n_functions: *found.as_ref().unwrap_or(&0),
        why_nothing: found.err().map(|why| format!("{glob}: {why}")),
        n_left_out,
    }
}

/// Adds the functions that a glob matches, and returns their number.
fn add(
    user: &UserGlob,
    role: Role,
    files: &mut OpenFiles<'_>,
    wanted: &mut BTreeMap<(ObjectId, u64), WantedFunction>,
    left_out: &mut Vec<(String, String, String)>,
) -> Result<usize, String> {
    let objects = files.open(&user.object)?;
    in_each(&objects, |object| {
        add_of_file(user, role, object, files, wanted, left_out)
    })
}

fn add_of_file(
    user: &UserGlob,
    role: Role,
    object: ObjectId,
    files: &OpenFiles<'_>,
    wanted: &mut BTreeMap<(ObjectId, u64), WantedFunction>,
    left_out: &mut Vec<(String, String, String)>,
) -> Result<usize, String> {
    let is_entry = role == Role::Entry;
    let file_name = files.name(object);
    let of_file = files.functions(object);
    if of_file.is_go {
        // The runtime copies a stack that becomes too small, with the address that the kernel put there.
        let why =
            "it is a Go program: its stacks move, and the kernel cannot trace returns on them";
        let matching = of_file.matching(user);
        left_out.extend(matching.map(|it| (it.name.clone(), file_name.clone(), why.to_owned())));
        return Err(why.to_owned());
    }
    let mut n = 0;
    let mut denied: Option<&str> = None;
    for symbol in of_file.matching(user) {
        if let Some(why) = of_file.denied.get(&symbol.offset) {
            denied = Some(why);
            left_out.push((symbol.name.clone(), file_name.clone(), (*why).to_owned()));
            continue;
        }
        n += 1;
        let known = wanted
            .entry((object, symbol.offset))
            .or_insert_with(|| WantedFunction {
                name: symbol.name.clone(),
                size: symbol.size,
                is_entry,
                result: user.result,
            });
        known.is_entry |= is_entry;
        known.result = known.result.or(user.result);
        if is_better_name(&symbol.name, &known.name) {
            known.name.clone_from(&symbol.name);
        }
    }
    match (n, denied) {
        (0, Some(why)) => Err(format!("the function {why}")),
        (0, None) => Err(why_none_matches(of_file, user, &file_name)),
        (n, _) => Ok(n),
    }
}

/// Takes away the functions that a deny glob matches, and returns their number.
fn deny(
    user: &UserGlob,
    why: &str,
    files: &mut OpenFiles<'_>,
    wanted: &mut BTreeMap<(ObjectId, u64), WantedFunction>,
    left_out: &mut Vec<(String, String, String)>,
) -> Result<usize, String> {
    let objects = files.open(&user.object)?;
    let mut n = 0;
    for object in objects {
        let file_name = files.name(object);
        for symbol in files.functions(object).matching(user) {
            if let Some(denied) = wanted.remove(&(object, symbol.offset)) {
                n += 1;
                left_out.push((denied.name, file_name.clone(), why.to_owned()));
            }
        }
    }
    if n == 0 {
        return Err("it denies nothing that the other globs ask for".to_owned());
    }
    Ok(n)
}

/// Of several names of a function, one without leading underscores is shown, else the shortest.
fn is_better_name(name: &str, than: &str) -> bool {
    let rank = |name: &str| (name.starts_with('_'), name.len());
    rank(name) < rank(than)
}

/// Returns why no function of the file can be traced that the glob matches, with similar names.
fn why_none_matches(of_file: &Functions, user: &UserGlob, file_name: &str) -> String {
    let matches = |name: &&String| user.name.matches(name);
    if of_file.resolved.iter().any(|name| matches(&name)) {
        return "the loader chooses the function by the CPU: name the one that it chooses"
            .to_owned();
    }
    if of_file.imported.iter().any(|name| matches(&name)) {
        return format!("{file_name} imports it: name the library that defines it");
    }
    if of_file.defined.is_empty() {
        return format!("{file_name} has no symbols of functions: it is stripped");
    }
    let mut text = format!("{file_name} has no such function");
    if of_file.is_stripped {
        text += ", as far as it exports them: it is stripped, and no debug file was found";
    }
    let names = of_file.defined.iter().map(|symbol| symbol.name.as_str());
    let similar = nearest(user.name.longest_literal(), names, 3);
    if !similar.is_empty() {
        text += &format!("; similar: {}", similar.join(", "));
    }
    text
}

impl Functions {
    fn matching(&self, user: &UserGlob) -> impl Iterator<Item = &UserSymbol> {
        self.defined
            .iter()
            .filter(|symbol| user.name.matches(&symbol.name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::process;

    use super::{FileSearch, UserSelection, select_user};
    use crate::config::{GlobOrigin, GlobUse, Role};
    use crate::spec::{EntryReason, HookId, ResultType};
    use crate::user::symbols::functions;

    fn select(globs: &[(Role, &str)]) -> UserSelection {
        let glob = |text: &str| GlobUse::new(text.parse().unwrap(), GlobOrigin::Option);
        let globs: Vec<(Role, GlobUse)> = globs
            .iter()
            .map(|(role, text)| (*role, glob(text)))
            .collect();
        select_user(&globs, &FileSearch::default(), HookId(7))
    }

    fn why(role: Role, text: &str) -> String {
        let selection = select(&[(role, text)]);
        assert!(selection.functions.is_empty(), "{text}");
        selection.reports[0].why_nothing.clone().unwrap()
    }

    #[test]
    fn functions_of_a_library_are_selected_with_role_and_result() {
        let selection = select(&[
            (Role::Entry, "u:libc:getaddrinfo:int"),
            (Role::Allow, "u:libc:{connect,socket}:neg1"),
            (Role::Deny, "u:libc:socket"),
        ]);
        let mut found: Vec<_> = selection
            .functions
            .iter()
            .map(|function| (&*function.name, function.entry, function.result))
            .collect();
        found.sort_by_key(|(name, ..)| *name);
        assert_eq!(
            found,
            [
                ("connect", None, ResultType::MinusOne),
                (
                    "getaddrinfo",
                    Some(EntryReason::UserFunction),
                    ResultType::Signed(4)
                ),
            ]
        );
        assert_eq!(selection.functions[0].id, HookId(7));
        assert_eq!(selection.files.len(), 1);
        assert_eq!(selection.left_out[0].0, "socket");
    }

    #[test]
    fn a_file_with_two_names_is_one_object() {
        let path = fs::canonicalize("/proc/self/exe").unwrap();
        let path = path.display();
        let by_process = format!("p:{}:*select_user*", process::id());
        let selection = select(&[
            (Role::Allow, &by_process),
            (Role::Entry, &format!("u:{path}:*user*select*")),
        ]);
        assert_eq!(selection.files.len(), 1, "{selection:?}");
        let ours = selection
            .functions
            .iter()
            .find(|function| function.name.ends_with("selecting::select_user"));
        assert!(ours.is_some_and(|ours| ours.entry.is_some()));
    }

    /// `u:libc:*` traced `setjmp` by another of its names, and the program would have crashed.
    #[test]
    fn what_depends_on_its_return_address_is_not_traced_by_any_of_its_names() {
        let file = File::open(&select(&[(Role::Entry, "u:libc:abort")]).files[0].path).unwrap();
        let all = functions(&file).unwrap().defined;
        let dangerous: Vec<u64> = all
            .iter()
            .filter(|symbol| symbol.name.contains("setjmp") || symbol.name.ends_with("vfork"))
            .map(|symbol| symbol.offset)
            .collect();
        assert!(dangerous.len() > 3, "{dangerous:?}");
        let selection = select(&[(Role::Entry, "u:libc:*")]);
        let traced = selection.functions.iter();
        let wrong: Vec<&str> = traced
            .filter(|function| dangerous.contains(&function.addr().0))
            .map(|function| &*function.name)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn no_match_explains_itself() {
        let text = why(Role::Entry, "u:libc:getadrinfo");
        assert!(text.contains("similar: getaddrinfo"), "{text}");
        let text = why(Role::Entry, "u:libc:strlen");
        assert!(text.contains("chooses the function by the CPU"), "{text}");
        let text = why(Role::Entry, "u:libnosuch:f");
        assert!(text.contains("no library or program"), "{text}");
        let text = why(Role::Entry, "u:libc:setjmp");
        assert!(text.contains("return address"), "{text}");
        let text = why(Role::Entry, "u:/etc/passwd:f");
        assert!(text.contains("no ELF file"), "{text}");
        let text = why(Role::Deny, "u:libc:socket");
        assert!(text.contains("denies nothing"), "{text}");
        let text = why(Role::Entry, "u:libm:malloc_nosuch");
        assert!(text.contains("no such function"), "{text}");
    }
}
