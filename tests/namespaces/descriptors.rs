//! Containers whose processes show millions of descriptors: what looks through them ends, and says that it was cut.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::live::Ran;
use crate::support::{Builder, LIMIT, Sandbox, needs_root, patient, sandbox};

/// 6 million descriptors, in one table that 600 processes share.
fn crowded(builder: Builder) -> Sandbox {
    let mut target = builder.mode(&["descriptors", "10000", "600"]).start();
    assert_eq!(target.next_line(LIMIT).as_deref(), Some("open"));
    target
}

fn soon(target: &Sandbox, args: &[&str]) -> Ran {
    let begun = Instant::now();
    let ran = target.run(args);
    let took = begun.elapsed();
    println!("{args:?}: {took:?}");
    assert!(took < patient(Duration::from_secs(10)), "{args:?}: {took:?}");
    ran
}

// Seen to fail without the limits on time: half a minute and more each.
#[test]
fn r26_millions_of_descriptors_are_not_all_looked_at() {
    needs_root!();
    let target = crowded(sandbox());
    let ran = soon(&target, &["lsof", "-p", "1"]);
    assert!(ran.status == 0 && ran.text().lines().count() > 10_000, "{} {}", ran.status, ran.err);
    assert!(ran.err.contains("not all were looked at for the other ends"), "{}", ran.err);
    let ran = soon(&target, &["doctor", "--fast", "-v"]);
    assert!(ran.text().contains("only the first 50000 descriptors were looked at"), "{ran:?}");
    soon(&target, &["proc", "1"]);
    drop(target);
    // One that is held by nobody of the container is looked for to the end.
    let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = crowded(sandbox().set("ns", "mnt,pid,ipc,uts,cgroup"));
    let ran = soon(&target, &["netstat", "-tlnp"]);
    assert!(ran.err.contains("there are too many descriptors"), "{ran:?}");
    soon(&target, &["info"]);
}
