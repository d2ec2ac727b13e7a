//! `http`, in what its own tests leave out.

use crate::support::{needs_root, sandbox};

// Seen to fail with variables that nobody hears of.
#[test]
fn a_proxy_that_is_not_used_is_mentioned() {
    needs_root!();
    let target = sandbox()
        .variable("http_proxy", "http://user:secret@proxy.test:3128")
        .variable("no_proxy", "127.0.0.0/8,.svc")
        .file("etc/hosts", "127.0.0.2 web.test\n127.0.0.2 web.svc\n")
        .start();
    for (url, is_told) in [("web.test:1", true), ("web.svc:1", false), ("127.0.0.2:1", false)] {
        let ran = target.run(&["http", "get", url]);
        ran.fails(7, "connection refused");
        let told = "http_proxy is set in the target's environment";
        assert_eq!(ran.err.contains(told), is_told, "{ran:?}");
        assert!(!ran.err.contains("secret"), "{ran:?}");
    }
}
