// SPDX-License-Identifier: BSD-2-Clause
//! Output of `list containers`: a line or a JSON object for each container.

use std::io::{self, Write};

use serde::Serialize;

use super::escape;

const SCHEMA: u32 = 1;

/// Number of digits of an id that a line shows.
const ID_SHOWN: usize = 12;

/// A running container. All texts come from others and are not trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListedContainer {
    /// Name; `None` if no file of the runtime gives it.
    pub name: Option<String>,
    /// The runtime's id of the container.
    pub id: String,
    /// Name of the container runtime.
    pub runtime: String,
    /// Name of the image that it was created from.
    pub image: Option<String>,
    /// Name of its pod.
    pub pod: Option<String>,
    /// Kubernetes namespace of its pod.
    pub namespace: Option<String>,
    /// Number of processes in it.
    #[serde(rename = "processes")]
    pub n_processes: usize,
    /// Path of its control group.
    pub cgroup: String,
    /// Id of the user who owns it; `None` if it belongs to the host.
    pub user: Option<u32>,
}

#[derive(Serialize)]
struct ListedContainerObject<'a> {
    schema: u32,
    kind: &'static str,
    #[serde(flatten)]
    container: &'a ListedContainer,
}

/// Writes the containers as a table with a title line; writes nothing if there are none.
///
/// # Errors
///
/// When writing fails.
pub fn write_text(containers: &[ListedContainer], out: &mut dyn Write) -> io::Result<()> {
    if containers.is_empty() {
        return Ok(());
    }
    let titles = [
        "NAME",
        "ID",
        "RUNTIME",
        "IMAGE",
        "POD",
        "NAMESPACE",
        "PROCESSES",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(containers.iter().map(row));
    let width = |column: usize| {
        let texts = rows.iter().filter_map(|row| row.get(column));
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(text, width)| format!("{text:<width$}  "))
            .collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn row(container: &ListedContainer) -> [String; 7] {
    let text = |text: &Option<String>| {
        let shown = text.as_ref().map(|text| escape(text.as_bytes()));
        shown.unwrap_or_else(|| "-".to_owned())
    };
    let id: String = container.id.chars().take(ID_SHOWN).collect();
    [
        text(&container.name),
        escape(id.as_bytes()),
        match container.user {
            Some(user) => format!("{} of user {user}", container.runtime),
            None => container.runtime.clone(),
        },
        text(&container.image),
        text(&container.pod),
        text(&container.namespace),
        container.n_processes.to_string(),
    ]
}

/// Writes the containers as JSON, one object per line.
///
/// # Errors
///
/// When writing fails.
pub fn write_json(containers: &[ListedContainer], out: &mut dyn Write) -> io::Result<()> {
    for container in containers {
        let object = ListedContainerObject {
            schema: SCHEMA,
            kind: "container",
            container,
        };
        serde_json::to_writer(&mut *out, &object)?;
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ListedContainer, write_json, write_text};

    fn containers() -> Vec<ListedContainer> {
        vec![
            ListedContainer {
                name: Some("web\u{1b}]0;x\u{7}".to_owned()),
                id: "0123456789abcdef".to_owned(),
                runtime: "docker".to_owned(),
                image: Some("nginx:1".to_owned()),
                n_processes: 3,
                cgroup: "/docker/x".to_owned(),
                ..ListedContainer::default()
            },
            ListedContainer {
                id: "box".to_owned(),
                runtime: "lxc".to_owned(),
                ..ListedContainer::default()
            },
        ]
    }

    #[test]
    fn a_line_each_and_no_escape_sequence() {
        let mut out = Vec::new();
        write_text(&containers(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME             ID            RUNTIME  IMAGE    POD  NAMESPACE  PROCESSES\n\
             web\\x1b]0;x\\x07  0123456789ab  docker   nginx:1  -    -          3\n\
             -                box           lxc      -        -    -          0\n"
        );
        let mut out = Vec::new();
        write_text(&[], &mut out).unwrap();
        assert!(out.is_empty());
    }

    #[test]
    fn an_object_each() {
        let mut out = Vec::new();
        write_json(&containers()[1..], &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"schema\":1,\"kind\":\"container\",\"name\":null,\"id\":\"box\",\"runtime\":\"lxc\",\
             \"image\":null,\"pod\":null,\"namespace\":null,\"processes\":0,\"cgroup\":\"\",\"user\":null}\n"
        );
    }
}
