//! What all runtimes of these tests share: a directory, an image, and the one that cleans up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::{said, tag};
use crate::live::wait;
use crate::support::{helper, new_directory};

/// What `runtimes-end` may take.
const END: Duration = Duration::from_secs(60);

/// Cleans up when its stdin ends, even if this process is killed.
static WATCHER: Mutex<Option<Child>> = Mutex::new(None);

/// The directory of the tests' own daemons, watched from now on.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = new_directory("runtimes");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/runtimes-end");
        let mut watcher = Command::new("bash")
            .arg(script)
            .arg(&directory)
            .arg(tag())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the tests; it goes on and cleans up.
            .process_group(0)
            .spawn()
            .expect("bash");
        let mut ready = [0];
        std::io::Read::read_exact(watcher.stdout.as_mut().unwrap(), &mut ready).expect("runtimes-end");
        *WATCHER.lock().unwrap() = Some(watcher);
        // SAFETY: the function is of this program, which is never unloaded.
        assert_eq!(unsafe { libc::atexit(end) }, 0);
        directory
    })
}

/// Nothing that was started outlives the tests.
extern "C" fn end() {
    let watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut watcher) = watcher {
        drop(watcher.stdin.take());
        if wait(&mut watcher, END).is_none() {
            eprintln!("runtimes-end did not end");
        }
    }
}

/// A daemon of the tests' own; it is ended by its directory's name in its arguments.
pub fn daemon(command: &mut Command, log: &str) -> Result<(), String> {
    let log = fs::File::create(directory().join(log)).unwrap();
    let (out, err) = (log.try_clone().unwrap(), log);
    command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
    command.spawn().map(drop).map_err(|error| format!("{command:?}: {error}"))
}

/// The image's name; its version is this run's.
pub fn image() -> String {
    format!("localhost/nsdbg-test-image:{}", tag())
}

/// An archive of the image that docker, podman and containerd take: one static program, as user 65532.
pub fn archive() -> Result<&'static Path, String> {
    static ARCHIVE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    ARCHIVE.get_or_init(make_archive).as_deref().map_err(Clone::clone)
}

fn make_archive() -> Result<PathBuf, String> {
    let directory = directory().join("image");
    let root = directory.join("root");
    make_root(&root);
    let tar = |from: &Path, to: &Path, names: &[&str]| {
        said(Command::new("tar").arg("-C").arg(from).arg("-cf").arg(to).args(names)).map(drop)
    };
    tar(&root, &directory.join("layer.tar"), &["."])?;
    let sum = said(Command::new("sha256sum").arg(directory.join("layer.tar")))?;
    let layer = format!("sha256:{}", sum.split(' ').next().unwrap_or_default());
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"User": "65532:65532", "Entrypoint": ["/server"], "Cmd": ["sleep"]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    let manifest = json!([{"Config": "config.json", "RepoTags": [image()], "Layers": ["layer.tar"]}]);
    fs::write(directory.join("manifest.json"), manifest.to_string()).unwrap();
    let archive = directory.join("image.tar");
    tar(&directory, &archive, &["manifest.json", "config.json", "layer.tar"])?;
    Ok(archive)
}

/// A container's root directory.
pub fn make_root(root: &Path) {
    fs::create_dir_all(root.join("etc")).unwrap();
    for name in ["proc", "dev", "sys"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(helper(), root.join("server")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/x\nnonroot:x:65532:65532::/:/x\n").unwrap();
}
