//! `shared-libraries`.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use super::programs;
use crate::cmd::doctor::check::{Check, Found, Group, Run};
use crate::cmd::doctor::container::Container;
use crate::cmd::loader::{Library, Loader, shown};

pub const CHECK: Check = Check {
    id: "shared-libraries",
    group: Group::Image,
    question: "Does the loader find every library, in the version it needs?",
    is_slow: true,
    run: Run::Inside(run),
};

/// What is told of one library that programs lack.
#[derive(Default)]
struct Lack {
    programs: Vec<String>,
    evidence: Vec<String>,
}

fn run(container: &Container) -> Vec<Found> {
    let mut loader = Loader::new(container.var("LD_LIBRARY_PATH"));
    // By what is lacking: one library that is not there stops many programs.
    let mut lacking: BTreeMap<String, Lack> = BTreeMap::new();
    for program in programs::all(container).iter().filter(|program| program.is_elf()) {
        let path = program.path.as_os_str().as_bytes();
        let real = std::fs::canonicalize(&program.path).unwrap_or_else(|_| program.path.clone());
        let Some(loaded) = loader.load(real.as_os_str().as_bytes()) else { continue };
        // Where the loader itself is not there, that is told by another check.
        let interpreter = loaded.object.interpreter.as_deref().unwrap_or_default();
        if loader.object(interpreter).is_none() {
            continue;
        }
        for library in &loaded.libraries {
            for (what, evidence) in wrong(library) {
                let lack = lacking.entry(what).or_default();
                lack.programs.push(shown(path));
                if lack.evidence.len() < 4 && !lack.evidence.contains(&evidence) {
                    lack.evidence.push(evidence);
                }
            }
        }
    }
    lacking
        .into_iter()
        .map(|(what, lack)| {
            let mut programs = lack.programs;
            programs.dedup();
            let first = programs.first().cloned().unwrap_or_default();
            let more = programs.len().saturating_sub(1);
            let who = if more == 0 { String::new() } else { format!(" (and {more} more programs)") };
            let mut found = Found::fail(format!("{what}: starting it{who} fails")).about(&first);
            for evidence in lack.evidence {
                found = found.seen(evidence);
            }
            found.fix("copy the library into the image, from that which the program was built in; ldd shows all that it needs, and where they are looked for")
        })
        .collect()
}

/// What is wrong with a library, and what shows it.
fn wrong(library: &Library) -> Vec<(String, String)> {
    let name = shown(&library.name);
    let needed_by = shown(&library.needed_by);
    match &library.found {
        None => {
            let looked: Vec<String> = library.looked.iter().take(6).map(|path| shown(path)).collect();
            let evidence = match library.others.first() {
                Some(other) => format!("needed by {needed_by}; {} is for another machine", shown(other)),
                None => format!("needed by {needed_by}; looked for {}", looked.join(", ")),
            };
            vec![(format!("{name} is not found"), evidence)]
        }
        Some((path, _)) => library
            .lacks
            .iter()
            .take(8)
            .map(|(version, by)| {
                let version = shown(version);
                (
                    format!(
                        "{name} has no {version}: it is older than that which the program was linked with"
                    ),
                    format!("{} wants {version} of {}", shown(by), shown(path)),
                )
            })
            .collect(),
    }
}
