//! The loader and the libraries of programs: what doctor and ldd say of C programs, and what the loaders themselves do
//! with them.

#![cfg(target_arch = "x86_64")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Report, doctor};
use crate::live::{Ran, run};
use crate::support::{Builder, NSDBG, Sandbox, needs_root, new_directory, sandbox, skip};

/// Skips a test where a tool is missing.
macro_rules! needs_tool {
    ($tool:expr, $package:expr) => {
        if Command::new($tool).arg("--version").output().is_err() {
            skip!("no {}: apt-get install {}", $tool, $package);
        }
    };
}

const GLIBC: &str = "gcc";
const MUSL: &str = "musl-gcc";
const MUSL_LOADER: &str = "/lib/ld-musl-x86_64.so.1";

/// A program that calls a function of a library.
const USES: &str = "int a(void); int main(void) { return a(); }";
const LIBRARY: &str = "int a(void) { return 0; }";

/// Where programs are compiled; removed at the end.
struct Bench(PathBuf);

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Bench {
    fn new() -> Self {
        Self(new_directory("cc"))
    }

    /// Compiles a source to a file of this name.
    fn compile(&self, compiler: &str, name: &str, source: &str, options: &[&str]) -> PathBuf {
        let (from, to) = (self.0.join(format!("{name}.c")), self.0.join(name));
        fs::write(&from, source).unwrap();
        let ran =
            run(Command::new(compiler).current_dir(&self.0).arg("-o").arg(&to).arg(&from).args(options));
        assert_eq!(ran.status, 0, "{ran:?}");
        to
    }

    /// `app`, which wants `liba.so` of /opt/lib: linked with these options.
    fn app(&self, compiler: &str, options: &[&str]) -> PathBuf {
        self.compile(compiler, "liba.so", LIBRARY, &["-shared", "-fPIC", "-Wl,-soname,liba.so"]);
        self.compile(compiler, "app", USES, &[&["-L.", "-la"], options].concat())
    }
}

/// Copies a file of the node, with what it links to, to a path below a root.
fn copy(from: impl AsRef<Path>, root: &Path, to: &str) {
    let to = root.join(to.trim_start_matches('/'));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// The loader and libc of the machine, where programs look for them.
fn with_glibc(root: &Path) {
    for path in ["/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"] {
        copy(path, root, path);
    }
}

fn with_musl(root: &Path) {
    copy(MUSL_LOADER, root, MUSL_LOADER);
}

/// A container with a program in PATH.
fn with_app(app: &Path, how: impl FnOnce(&Path)) -> Builder {
    sandbox().variable("PATH", "/usr/bin").prepared(|root| {
        copy(app, root, "usr/bin/app");
        how(root);
    })
}

/// All checks, of which none but the two of this file says fail; and the program is started: it does what is said.
fn all(target: &Sandbox) -> Report {
    let report = doctor(target, &[]);
    // There is no name server, and dns says so.
    report.nothing_else_is_broken(&["elf-interpreter", "shared-libraries", "dns"]);
    let says_fail = ["elf-interpreter", "shared-libraries"]
        .iter()
        .any(|check| report.of(check).iter().any(|row| row["status"] == "fail"));
    let started = start(target);
    assert_eq!(started.status != 0, says_fail, "{started:?}: {:#?}", report.of("shared-libraries"));
    report
}

/// A program of the container, in its namespaces: $ORIGIN is read from /proc.
fn inside(target: &Sandbox) -> Command {
    let mut command = Command::new("/usr/bin/nsenter");
    command.args(["-m", "-p", "-t", &target.pid.to_string()]);
    command
}

/// Starts the container's program, with its variables.
fn start(target: &Sandbox) -> Ran {
    let environ = fs::read(format!("/proc/{}/environ", target.pid)).unwrap();
    let variables = environ.split(|byte| *byte == 0).filter_map(|variable| {
        let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    run(inside(target).env_clear().envs(variables).arg("/usr/bin/app"))
}

fn is_well(target: &Sandbox) {
    let report = all(target);
    for check in ["elf-interpreter", "shared-libraries"] {
        assert_eq!(report.of(check).len(), 1, "{:#?}", report.of(check));
        report.says(check, "ok", "");
    }
}

/// What shared-libraries says of the program, as one text; the loader is there.
fn lacks(target: &Sandbox) -> String {
    let report = all(target);
    report.says("elf-interpreter", "ok", "");
    assert_eq!(report.of("shared-libraries").len(), 1, "{:#?}", report.of("shared-libraries"));
    report.says("shared-libraries", "fail", "/usr/bin/app").to_string()
}

/// ldd's rows of the container's program.
fn ldd(target: &Sandbox, file: &str) -> (Vec<Value>, Ran) {
    let ran = target.run_with(&["--json"], &["ldd", file]);
    (ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect(), ran)
}

/// What led to the library.
fn by(target: &Sandbox) -> (String, String) {
    let (rows, ran) = ldd(target, "/usr/bin/app");
    assert_eq!(ran.status, 0, "{ran:?}");
    let row = rows.iter().find(|row| row["name"] == "liba.so").unwrap();
    (row["by"].as_str().unwrap().to_owned(), row["path"].as_str().unwrap().to_owned())
}

// Seen to fail with a loader that is taken to be there.
#[test]
fn a_loader_that_is_not_there_is_told_and_then_it_is_there() {
    needs_root!();
    needs_tool!(GLIBC, "gcc libc6-dev");
    let bench = Bench::new();
    let app = bench.compile(GLIBC, "app", "int main(void) { return 0; }", &[]);
    let target = with_app(&app, |_| ()).start();
    let report = all(&target);
    let row = report.says("elf-interpreter", "fail", "/usr/bin/app");
    assert!(row["detail"].as_str().unwrap().contains("glibc's loader /lib64/ld-linux-x86-64.so.2"), "{row}");
    assert!(row["fix"].as_str().unwrap().contains("-static"), "{row}");
    // One fault is told once.
    report.says("shared-libraries", "ok", "");
    with_glibc(&target.root);
    is_well(&target);
    // The other half of the fix.
    let target =
        with_app(&bench.compile(GLIBC, "static", "int main(void) { return 0; }", &["-static"]), |_| ());
    is_well(&target.start());
}

// Seen to fail with every loader taken for glibc's.
#[test]
fn musls_loader_is_told_as_such() {
    needs_root!();
    needs_tool!(MUSL, "musl-tools");
    let bench = Bench::new();
    let app = bench.compile(MUSL, "app", "int main(void) { return 0; }", &[]);
    let target = with_app(&app, with_glibc).start();
    let report = all(&target);
    let row = report.says("elf-interpreter", "fail", "/usr/bin/app");
    assert!(row["detail"].as_str().unwrap().contains(&format!("musl's loader {MUSL_LOADER}")), "{row}");
    assert!(row["fix"].as_str().unwrap().contains("glibc or statically"), "{row}");
    with_musl(&target.root);
    is_well(&target);
}

// Seen to fail with programs that are passed over.
#[test]
fn a_library_that_is_not_there_is_told_and_found_when_it_is_copied() {
    needs_root!();
    for (compiler, package, with, directory) in [
        (GLIBC, "gcc libc6-dev", with_glibc as fn(&Path), "/lib/x86_64-linux-gnu"),
        (MUSL, "musl-tools", with_musl, "/usr/local/lib"),
    ] {
        needs_tool!(compiler, package);
        let bench = Bench::new();
        let target = with_app(&bench.app(compiler, &[]), with).start();
        let said = lacks(&target);
        assert!(said.contains("liba.so is not found") && said.contains("needed by /usr/bin/app"), "{said}");
        assert!(said.contains(&format!("{directory}/liba.so")), "{said}");
        let (rows, ran) = ldd(&target, "/usr/bin/app");
        assert_eq!(ran.status, 1, "{ran:?}");
        let row = rows.iter().find(|row| row["name"] == "liba.so").unwrap();
        assert!(row["path"].is_null() && row["status"] == "not found", "{row}");
        // As the fix says.
        copy(bench.0.join("liba.so"), &target.root, &format!("{directory}/liba.so"));
        is_well(&target);
        assert_eq!(by(&target), ("default directory".into(), format!("{directory}/liba.so")));
    }
}

// Seen to fail with the machine left out of the comparison.
#[test]
fn a_library_for_another_machine_is_told() {
    needs_root!();
    needs_tool!(GLIBC, "gcc libc6-dev");
    let bench = Bench::new();
    let target = with_app(&bench.app(GLIBC, &[]), with_glibc).start();
    let path = "/lib/x86_64-linux-gnu/liba.so";
    copy(bench.0.join("liba.so"), &target.root, path);
    is_well(&target);
    let file = target.root.join(&path[1..]);
    let mut bytes = fs::read(&file).unwrap();
    // e_machine: EM_AARCH64.
    bytes[18..20].copy_from_slice(&183_u16.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let said = lacks(&target);
    assert!(said.contains("liba.so is not found") && said.contains("is for another machine"), "{said}");
    let (rows, _) = ldd(&target, "/usr/bin/app");
    let row = rows.iter().find(|row| row["name"] == "liba.so").unwrap();
    assert_eq!(row["status"], format!("not found: {path} is for another machine"));
}

// Seen to fail with versions left out.
#[test]
fn a_version_of_symbols_that_a_library_lacks_is_told() {
    needs_root!();
    needs_tool!(GLIBC, "gcc libc6-dev");
    let bench = Bench::new();
    let version = |name: &str, script: &str, source: &str| {
        fs::write(bench.0.join("map"), script).unwrap();
        let options = ["-shared", "-fPIC", "-Wl,-soname,liba.so", "-Wl,--version-script=map"];
        bench.compile(GLIBC, name, source, &options)
    };
    version(
        "liba.so",
        "A_1.0 { global: b; local: *; }; A_2.0 { global: a; } A_1.0;",
        "int a(void){return 0;} int b(void){return 0;}",
    );
    let app = bench.compile(GLIBC, "app", USES, &["-L.", "-la"]);
    let old = version(
        "old.so",
        "A_1.0 { global: a; b; local: *; };",
        "int a(void){return 0;} int b(void){return 0;}",
    );
    let target = with_app(&app, |root| {
        with_glibc(root);
        copy(&old, root, "usr/lib/x86_64-linux-gnu/liba.so");
    });
    let target = target.start();
    let said = lacks(&target);
    assert!(said.contains("liba.so has no A_2.0: it is older"), "{said}");
    assert!(said.contains("/usr/bin/app wants A_2.0 of /usr/lib/x86_64-linux-gnu/liba.so"), "{said}");
    let (rows, ran) = ldd(&target, "/usr/bin/app");
    let row = rows.iter().find(|row| row["name"] == "liba.so").unwrap();
    assert_eq!((ran.status, row["status"].as_str()), (1, Some("lacks A_2.0")));
    copy(bench.0.join("liba.so"), &target.root, "usr/lib/x86_64-linux-gnu/liba.so");
    is_well(&target);
    // One that defines no versions is taken, with a warning.
    let source = "int getpid(void); int a(void) { return getpid() < 0; }";
    let plain = bench.compile(GLIBC, "plain.so", source, &["-shared", "-fPIC", "-Wl,-soname,liba.so"]);
    copy(plain, &target.root, "usr/lib/x86_64-linux-gnu/liba.so");
    is_well(&target);
}

// Seen to fail with $ORIGIN as it is, and with LD_LIBRARY_PATH before RPATH.
#[test]
fn what_leads_to_a_library_is_told() {
    needs_root!();
    needs_tool!(GLIBC, "gcc libc6-dev");
    let bench = Bench::new();
    let own = "-Wl,-rpath,$ORIGIN/../lib/app";
    let path = "/usr/bin/../lib/app/liba.so".to_owned();
    for (options, with_variable, wanted) in [
        (vec![own, "-Wl,--disable-new-dtags"], false, ("RPATH", path.clone())),
        (vec![own, "-Wl,--enable-new-dtags"], false, ("RUNPATH", path.clone())),
        (vec![own, "-Wl,--disable-new-dtags"], true, ("RPATH", path)),
        (vec![own, "-Wl,--enable-new-dtags"], true, ("LD_LIBRARY_PATH", "/opt/lib/liba.so".to_owned())),
        (vec![], true, ("LD_LIBRARY_PATH", "/opt/lib/liba.so".to_owned())),
    ] {
        let app = bench.app(GLIBC, &options);
        let mut builder = with_app(&app, |root| {
            with_glibc(root);
            if !options.is_empty() {
                copy(bench.0.join("liba.so"), root, "usr/lib/app/liba.so");
            }
            copy(bench.0.join("liba.so"), root, "opt/lib/liba.so");
        });
        if with_variable {
            builder = builder.variable("LD_LIBRARY_PATH", "/nowhere:/opt/lib");
        }
        let target = builder.start();
        is_well(&target);
        assert_eq!(by(&target), (wanted.0.to_owned(), wanted.1), "{options:?}");
    }
    // Without any of them it is not found, though it is there.
    let target = with_app(&bench.app(GLIBC, &[]), |root| {
        with_glibc(root);
        copy(bench.0.join("liba.so"), root, "opt/lib/liba.so");
    });
    assert!(lacks(&target.start()).contains("liba.so is not found"));
}

// Seen to fail with a cache that is not read.
#[test]
fn a_library_that_only_the_cache_knows_is_found() {
    needs_root!();
    needs_tool!(GLIBC, "gcc libc6-dev");
    needs_tool!("/usr/sbin/ldconfig", "libc-bin");
    let bench = Bench::new();
    let target = with_app(&bench.app(GLIBC, &[]), |root| {
        with_glibc(root);
        copy(bench.0.join("liba.so"), root, "opt/lib/liba.so");
        fs::write(root.join("etc/ld.so.conf"), "/opt/lib\n").unwrap();
    });
    let target = target.start();
    assert!(lacks(&target).contains("liba.so is not found"));
    let ran = run(Command::new("/usr/sbin/ldconfig").arg("-r").arg(&target.root));
    assert_eq!(ran.status, 0, "{ran:?}");
    is_well(&target);
    assert_eq!(by(&target), ("ld.so.cache".into(), "/opt/lib/liba.so".into()));
    // What is in the cache alone is not there.
    fs::remove_file(target.root.join("opt/lib/liba.so")).unwrap();
    assert!(lacks(&target).contains("liba.so is not found"));
}

// Seen to fail with each library told once for each program.
#[test]
fn one_library_that_many_programs_lack_is_one_row() {
    needs_root!();
    needs_tool!(GLIBC, "gcc libc6-dev");
    let bench = Bench::new();
    let app = bench.app(GLIBC, &[]);
    let target = with_app(&app, |root| {
        with_glibc(root);
        for name in ["one", "two", "three"] {
            copy(&app, root, &format!("usr/bin/{name}"));
        }
    });
    let report = doctor(&target.start(), &["shared-libraries"]);
    assert_eq!((report.rows.len(), report.status), (1, 3), "{:#?}", report.rows);
    assert!(
        report.rows[0]["detail"].as_str().unwrap().contains("(and 3 more programs)"),
        "{:#?}",
        report.rows
    );
}

/// Names and files of the libraries, as a loader lists them; links followed. The kernel's own is none.
fn listed(out: &str) -> BTreeSet<(String, Option<PathBuf>)> {
    let library = |line: &str| {
        let line = line.trim().split(" (0x").next().unwrap();
        let (name, path) = match line.split_once(" => ") {
            Some((name, path)) => (name.trim(), path.trim()),
            None => (line, line),
        };
        let name = name.rsplit('/').next().unwrap().to_owned();
        (!name.starts_with("linux-vdso")).then(|| (name, fs::canonicalize(path).ok()))
    };
    out.lines().filter_map(library).collect()
}

fn ours(rows: &[Value], root: &Path) -> BTreeSet<(String, Option<PathBuf>)> {
    let path = |row: &Value| fs::canonicalize(root.join(row["path"].as_str()?.trim_start_matches('/'))).ok();
    let name = |row: &Value| row["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    rows.iter().map(|row| (name(row), path(row))).collect()
}

/// Programs of the machine that are dynamically linked for glibc, spread over the alphabet.
fn programs(count: usize) -> Vec<String> {
    let mut all: Vec<String> = ["/usr/bin", "/usr/sbin"]
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.symlink_metadata().is_ok_and(|facts| facts.is_file()))
        // glibc's ldd may run what it can't ask the loader for, and takes no other loader's.
        .filter(|path| {
            let head = fs::read(path).unwrap_or_default();
            let head = &head[..head.len().min(4096)];
            head.starts_with(b"\x7fELF") && head.windows(16).any(|part| part == b"/ld-linux-x86-64")
        })
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    all.sort();
    let step = (all.len() / count).max(1);
    all.into_iter().step_by(step).collect()
}

/// A process of the node's own root.
struct Sleeping(std::process::Child);

impl Drop for Sleeping {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// Seen to fail with libraries of libraries left out.
#[test]
fn ldd_agrees_with_glibcs_loader() {
    needs_root!();
    needs_tool!("ldd", "libc-bin");
    let programs = programs(150);
    assert!(programs.len() >= 50, "{programs:?}");
    let node = Sleeping(Command::new("sleep").arg("600").spawn().unwrap());
    let pid = node.0.id().to_string();
    let ran = run(Command::new(NSDBG).args(["--pid", &pid, "--json", "--", "ldd"]).args(&programs));
    let rows: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for program in &programs {
        let theirs = run(Command::new("ldd").arg(program).env_remove("LD_LIBRARY_PATH"));
        let mine: Vec<Value> = rows.iter().filter(|row| row["file"] == **program).cloned().collect();
        assert_eq!(ours(&mine, Path::new("/")), listed(&theirs.text()), "{program}: {theirs:?}");
    }
}

// Seen to fail with RPATHs of those that led to a library left out.
#[test]
fn ldd_agrees_with_musls_loader() {
    needs_root!();
    needs_tool!(MUSL, "musl-tools");
    if !Path::new(MUSL_LOADER).exists() {
        skip!("no {MUSL_LOADER}: apt-get install musl");
    }
    let bench = Bench::new();
    bench.compile(MUSL, "libb.so", "int b(void) { return 0; }", &["-shared", "-fPIC", "-Wl,-soname,libb.so"]);
    let source = "int b(void); int a(void) { return b(); }";
    bench.compile(MUSL, "liba.so", source, &["-shared", "-fPIC", "-Wl,-soname,liba.so", "-L.", "-lb"]);
    let own = "-Wl,-rpath,$ORIGIN/../lib/app";
    for (options, place, variable) in [
        (vec![own], "usr/lib/app", None),
        (vec![own, "-Wl,--disable-new-dtags"], "usr/lib/app", None),
        (vec![own], "opt/lib", Some("/opt/lib")),
        (vec![], "usr/local/lib", None),
        (vec![], "usr/lib", None),
        (vec![], "opt/lib", None),
    ] {
        let app =
            bench.compile(MUSL, "app", USES, &[&["-L.", "-la", "-Wl,-rpath-link,."], &options[..]].concat());
        let mut builder = with_app(&app, |root| {
            with_musl(root);
            for name in ["liba.so", "libb.so"] {
                copy(bench.0.join(name), root, &format!("{place}/{name}"));
            }
        });
        if let Some(path) = variable {
            builder = builder.variable("LD_LIBRARY_PATH", path);
        }
        let target = builder.start();
        let (rows, _) = ldd(&target, "/usr/bin/app");
        let mut theirs = inside(&target);
        theirs.env_clear().envs(variable.map(|path| ("LD_LIBRARY_PATH", path)));
        let theirs = run(theirs.args([MUSL_LOADER, "--list", "/usr/bin/app"]));
        let lines: BTreeSet<_> = theirs
            .text()
            .lines()
            .filter_map(|line| {
                let (name, path) = line.trim().split(" (0x").next().unwrap().split_once(" => ")?;
                Some((name.to_owned(), fs::canonicalize(target.root.join(path.trim_start_matches('/'))).ok()))
            })
            .collect();
        let found: BTreeSet<_> =
            ours(&rows, &target.root).into_iter().filter(|(_, path)| path.is_some()).collect();
        assert_eq!(found, lines, "{options:?} {place}: {theirs:?}");
        assert_eq!(start(&target).status != 0, rows.iter().any(|row| row["path"].is_null()), "{rows:#?}");
    }
}

// Seen to fail with a static program that counts as a missing one.
#[test]
fn ldd_takes_pids_and_says_what_is_no_dynamic_program() {
    needs_root!();
    needs_tool!(GLIBC, "gcc libc6-dev");
    let bench = Bench::new();
    let app = bench.compile(GLIBC, "app", "#include <unistd.h>\nint main(void) { return pause(); }", &[]);
    let target = with_app(&app, with_glibc)
        .file("script", "#!/bin/sh\n")
        .file("empty", "")
        .prepared(|root| symlink("usr/bin/app", root.join("link")).unwrap())
        .mode(&["exec", "/usr/bin/app"])
        .start();
    let names = |rows: &[Value]| rows.iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    // The target becomes the program after it was told.
    assert!(crate::live::within(crate::support::LIMIT, || !ldd(&target, "1").0.is_empty()));
    let (rows, ran) = ldd(&target, "1");
    assert_eq!((ran.status, names(&rows)), (0, vec!["libc.so.6".into(), "ld-linux-x86-64.so.2".into()]));
    assert_eq!(rows[0]["file"], "/usr/bin/app");
    assert_eq!(names(&ldd(&target, "/link").0).len(), 2);
    let ran = target.run(&["ldd", "/server"]);
    assert_eq!((ran.status, ran.text().as_str()), (0, ""), "{ran:?}");
    assert!(ran.err.contains("/server: statically linked"), "{ran:?}");
    for (operand, words) in [
        ("/script", "not an ELF file"),
        ("/empty", "not an ELF file"),
        ("/nothing", "no such file or directory"),
        ("/usr", "directory"),
        ("4000", "no such process"),
    ] {
        target.run(&["ldd", operand]).fails(1, words);
    }
    // What comes after a wrong one is shown all the same.
    let ran = target.run(&["ldd", "/script", "/usr/bin/app"]);
    assert!(ran.status == 1 && ran.text().contains("libc.so.6"), "{ran:?}");
    fs::set_permissions(target.root.join("usr/bin/app"), fs::Permissions::from_mode(0o711)).unwrap();
    target.run(&["ldd", "/usr/bin/app"]).fails(1, "permission denied");
}
