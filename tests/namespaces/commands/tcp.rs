//! `tcp`: ports that accept, refuse, are filtered or rejected, and hosts that can't be reached.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::network::{link, script, try_script};
use crate::live::{Ran, run, within};
use crate::support::{LIMIT, Sandbox, needs_root, sandbox, skip};

/// Two linked containers: the first looks, the second listens on 8080 and says nothing.
fn pair() -> (Sandbox, Sandbox) {
    let one = sandbox().file("etc/hosts", "127.0.0.1 localhost\n10.7.0.2 peer\nfd07::2 peer6\n").start();
    let mut two = sandbox().mode(&["mute-any", "8080"]).start();
    assert_eq!(two.next_line(LIMIT).as_deref(), Some("listening"));
    link(&one, &two);
    (one, two)
}

fn rows(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json(target: &Sandbox, words: &[&str]) -> (i32, Vec<Value>) {
    let ran = run(target.nsdbg().args(["--json", "--"]).args(words));
    assert_eq!(ran.err, "", "{ran:?}");
    (ran.status, rows(&ran))
}

#[test]
fn connected_and_refused() {
    needs_root!();
    let (one, _two) = pair();
    let ran = one.run(&["tcp", "peer:8080", "10.7.0.2", "8080"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.text().starts_with("HOST      PORT  ADDRESS   RESULT"), "{ran:?}");
    let (status, rows) = json(&one, &["tcp", "peer", "8080", "1", "[10.7.0.2]:8080"]);
    assert_eq!((status, rows.len()), (1, 3));
    let seen: Vec<_> =
        rows.iter().map(|row| (row["host"].clone(), row["port"].clone(), row["result"].clone())).collect();
    assert_eq!(
        serde_json::json!(seen),
        serde_json::json!([
            ["peer", 8080, "connected"],
            ["peer", 1, "refused"],
            ["10.7.0.2", 8080, "connected"]
        ])
    );
    assert!(rows[0]["name_time"].is_number() && rows[2]["name_time"].is_null());
    assert!(rows.iter().all(|row| row["address"] == "10.7.0.2" && row["time"].as_f64().unwrap() < 2.0));
    // Of one family.
    let (_, rows) = json(&one, &["tcp", "-6", "10.7.0.2:1", "peer6:8080", "[fd07::2%wire]:1"]);
    assert_eq!((&rows[0]["result"], &rows[0]["error"]), (&"no-name".into(), &"no IPv6 address".into()));
    assert_eq!(rows[2]["result"], "refused");
}

// Seen to fail without asking for notices: what IPv6 rejects is filtered then.
#[test]
fn filtered_rejected_and_refused_are_told_apart() {
    needs_root!();
    let (one, two) = pair();
    let rules = "
nft add table inet f
nft add chain inet f in '{ type filter hook input priority 0; }'
nft add rule inet f in tcp dport 81 drop
nft add rule inet f in ip version 4 tcp dport 82 reject with icmp type admin-prohibited
nft add rule inet f in ip version 4 tcp dport 83 reject with icmp type port-unreachable
nft add rule inet f in ip version 4 tcp dport 84 reject with icmp type host-prohibited
nft add rule inet f in ip version 4 tcp dport 85 reject with icmp type net-unreachable
nft add rule inet f in tcp dport 86 reject with tcp reset
nft add rule inet f in meta nfproto ipv6 tcp dport 87 reject with icmpv6 type admin-prohibited";
    if !try_script(&two, rules) {
        skip!("no nftables here: apt-get install nftables, and a kernel with nf_tables");
    }
    // The link is up, and IPv6 has found its neighbour.
    let is_there = || json(&one, &["tcp", "-w", "1", "[fd07::2]:88"]).1[0]["result"] == "refused";
    assert!(within(LIMIT, is_there));
    let began = Instant::now();
    let (status, rows) =
        json(&one, &["tcp", "-w", "1", "10.7.0.2", "81-86", "8080", "[fd07::2]:87", "[fd07::2]:81"]);
    assert_eq!(status, 1);
    // All at once: two that are silent take one second.
    assert!(began.elapsed() < Duration::from_secs(3));
    let seen: Vec<_> = rows.iter().map(|row| (row["result"].clone(), row["error"].clone())).collect();
    assert_eq!(
        serde_json::json!(seen),
        serde_json::json!([
            ["filtered", "no answer in 1 s"],
            ["unreachable", "Packet filtered, says 10.7.0.2"],
            ["unreachable", "Destination Port Unreachable, says 10.7.0.2"],
            ["unreachable", "Destination Host Prohibited, says 10.7.0.2"],
            ["unreachable", "Destination Net Unreachable, says 10.7.0.2"],
            ["refused", null],
            ["connected", null],
            ["unreachable", "Destination unreachable: Administratively prohibited, says fd07::2"],
            ["filtered", "no answer in 1 s"],
        ])
    );
}

#[test]
fn what_the_containers_own_routes_say() {
    needs_root!();
    let (one, _two) = pair();
    script(
        &one,
        "ip route add unreachable 10.61.0.0/16\nip route add blackhole 10.62.0.0/16\n\
         ip route add prohibit 10.63.0.0/16",
    );
    let (_, rows) = json(
        &one,
        &["tcp", "-w", "6", "10.61.0.1:1", "10.62.0.1:1", "10.63.0.1:1", "192.0.2.1:1", "10.7.0.99:1"],
    );
    let seen: Vec<_> = rows.iter().map(|row| (row["result"].clone(), row["error"].clone())).collect();
    assert_eq!(
        serde_json::json!(seen),
        serde_json::json!([
            ["unreachable", "a route of the container says unreachable"],
            ["unreachable", "a route of the container is a blackhole"],
            ["unreachable", "a route of the container says prohibited"],
            ["unreachable", "no route"],
            ["unreachable", "Destination Host Unreachable, says 10.7.0.1"],
        ])
    );
}

#[test]
fn a_host_with_several_addresses_is_connected_where_one_of_them_is() {
    needs_root!();
    let one = sandbox().file("etc/hosts", "10.7.0.1 both\n10.7.0.2 both\n").start();
    let mut two = sandbox().mode(&["mute-any", "8080"]).start();
    assert_eq!(two.next_line(LIMIT).as_deref(), Some("listening"));
    link(&one, &two);
    let (status, rows) = json(&one, &["tcp", "both:8080"]);
    assert_eq!(
        (status, &rows[0]["result"], &rows[0]["address"]),
        (0, &"connected".into(), &"10.7.0.2".into())
    );
    assert_eq!(rows[0]["error"], "10.7.0.1: refused");
    let (status, rows) = json(&one, &["tcp", "both:1"]);
    assert_eq!((status, &rows[0]["error"]), (1, &"10.7.0.1: refused; 10.7.0.2: refused".into()));
}

#[test]
fn a_thousand_and_more_at_once() {
    needs_root!();
    let (one, two) = pair();
    let began = Instant::now();
    let (status, rows) = json(&one, &["tcp", "10.7.0.2", "7000-9999"]);
    assert_eq!((status, rows.len()), (1, 3000));
    let ports: Vec<_> = rows.iter().map(|row| row["port"].as_u64().unwrap()).collect();
    assert_eq!(ports, (7000..=9999).collect::<Vec<_>>());
    let connected: Vec<_> = rows.iter().filter(|row| row["result"] == "connected").collect();
    assert!(connected.len() == 1 && connected[0]["port"] == 8080);
    assert!(began.elapsed() < Duration::from_secs(10));
    // As many that say nothing: by the hundred, a second each.
    script(&two, "ip addr del 10.7.0.2/24 dev wire");
    script(&one, "ip neigh replace 10.7.0.2 lladdr 02:00:00:00:00:01 dev wire nud permanent");
    let began = Instant::now();
    let (_, rows) = json(&one, &["tcp", "-w", "1", "10.7.0.2", "1-1000"]);
    assert!(rows.len() == 1000 && rows.iter().all(|row| row["result"] == "filtered"));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn names_and_wrong_words() {
    needs_root!();
    let target = sandbox().file("etc/hosts", "127.0.0.1 localhost\n").start();
    let (status, rows) = json(&target, &["tcp", "-w", "1", "no.such.name:80", "127.0.0.1:1", "a b:1"]);
    assert_eq!((status, rows.len()), (1, 3));
    assert_eq!(rows[0]["result"], "no-name");
    assert!(rows[0]["error"].as_str().unwrap().contains("(asked 127.0.0.1: "), "{rows:?}");
    assert!(rows[0]["address"].is_null() && rows[0]["time"].is_null());
    assert_eq!((&rows[1]["result"], &rows[1]["error"]), (&"refused".into(), &Value::Null));
    assert_eq!(rows[2]["error"], "not a host name");
    for (words, said) in [
        (&["tcp"][..], "required"),
        (&["tcp", "web"], "the port of web is missing: web:PORT, or web PORT"),
        (&["tcp", "web:0"], "'0' is not a port: it is 1 to 65535"),
        (&["tcp", "web:65536"], "'65536' is not a port"),
        (&["tcp", "web:http"], "'http' is not a port"),
        (&["tcp", "-w", "0", "web:1"], "it is a positive number of seconds"),
        (&["tcp", "-w", "x", "web:1"], "it is a positive number of seconds"),
        (&["tcp", "a:1-65535", "b:1-65535", "c:1-65535", "d:1-65535"], "more than 200000 ports at once"),
    ] {
        target.run(words).fails(2, said);
    }
}
