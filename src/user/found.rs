// SPDX-License-Identifier: BSD-2-Clause
//! The functions of a file that is looked for while we trace: that of a container which starts later.

use std::fs::File;
use std::path::PathBuf;

use super::locate::{FileSearch, FoundFile, locate};
use super::symbols::functions;
use crate::spec::{UserGlob, UserObject};

/// The functions of a file that a glob matches.
#[derive(Debug)]
pub struct FoundFunctions {
    /// The open file.
    pub file: File,
    /// Its path, as the container has it.
    pub path: PathBuf,
    /// Names and offsets of the functions, without those that must not be traced.
    pub functions: Vec<(String, u64)>,
}

/// Looks for the file of a glob in the first of the surroundings.
///
/// `is_known` is asked with what is equal for files exactly if probes on them go to the same inode.
/// The functions of a file that is known are not read again.
///
/// # Errors
///
/// What is wrong, in words for the user.
pub fn find_functions(
    user: &UserGlob,
    search: &FileSearch,
    is_known: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<Option<FoundFunctions>, String> {
    let (UserObject::File(_), Some(around)) = (&user.object, search.around.first()) else {
        return Err("only files are looked for in containers".to_owned());
    };
    let FoundFile { file, path } = locate(&user.object, around)?;
    let unusable = |why: String| format!("`{}` cannot be used: {why}", path.display());
    let identity = search.identity(&file);
    let identity = identity.map_err(|error| unusable(error.to_string()))?;
    if is_known(&identity) {
        return Ok(None);
    }
    let found = functions(&file).map_err(|error| unusable(error.to_string()))?;
    if found.is_go {
        return Err(unusable("it is a Go program".to_owned()));
    }
    let matching = found.defined.into_iter().filter(|symbol| {
        user.name.matches(&symbol.name) && !found.denied.contains_key(&symbol.offset)
    });
    let functions = matching.map(|symbol| (symbol.name, symbol.offset));
    Ok(Some(FoundFunctions {
        functions: functions.collect(),
        file,
        path,
    }))
}
