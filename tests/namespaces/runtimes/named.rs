//! What names mean across runtimes, and where no runtime made the namespaces.

use std::process::Command;

use super::{MARKER, fixture, is_ambiguous, list, text};
use crate::live::run;
use crate::support::{NSDBG, needs_root, sandbox};

#[test]
fn one_name_in_two_runtimes_is_ambiguous_and_the_runtime_or_the_id_decides() {
    let docker = fixture!(super::docker::docker());
    let podman = fixture!(super::podman_pods::podman());
    let name = docker.same.name.as_deref().unwrap();
    assert_eq!(Some(name), podman.same.name.as_deref());
    is_ambiguous(name, &[&docker.same, &podman.same]);
    is_ambiguous(&format!("name:{name}"), &[&docker.same, &podman.same]);
    for known in [&docker.same, &podman.same] {
        known.is_reached_by(&known.id[..12]);
        let options = ["--runtime", known.runtime, name];
        let ran = run(Command::new(NSDBG).args(options).args(["--", "cat", MARKER]));
        assert_eq!((ran.status, ran.text()), (0, known.marker()), "{ran:?}");
    }
}

#[test]
fn namespaces_that_no_runtime_made_are_listed() {
    needs_root!();
    let target = sandbox().start();
    let rows = list(&[]);
    let row = rows.iter().find(|row| row["pid"] == target.pid);
    let row = row.unwrap_or_else(|| panic!("{} is not in {rows:#?}", target.pid));
    assert_eq!((text(row, "pod"), text(row, "image")), ("", ""), "{row:#}");
}

#[test]
fn a_name_that_nothing_has_is_no_target() {
    needs_root!();
    run(Command::new(NSDBG).args(["nsdbg-test-nothing", "--", "ls"])).fails(125, "nsdbg-test-nothing");
    run(Command::new(NSDBG).args(["name:nsdbg-test-nothing", "--", "ls"])).fails(125, "nsdbg-test-nothing");
}
