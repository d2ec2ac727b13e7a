//! `ip`, beside iproute2's in the same network namespace.

use serde_json::Value;

use super::network::{said, script, try_script};
use crate::support::{Sandbox, needs_root, sandbox};

/// What every kernel with containers can do: a pair of veths, a bridge, addresses of both families, tables, routes of
/// all types, neighbours.
const NETWORK: &str = "
ip link set lo up
ip link add pair0 type veth peer name pair1
ip link add bridge0 type bridge
ip link set pair1 master bridge0
ip link add inner type bridge
ip link set inner alias 'some words'
ip link property add dev inner altname other
ip addr add 10.0.0.1/24 brd + dev pair0
ip addr add 10.0.0.5/24 dev pair0
ip addr add 10.9.0.1 peer 10.9.0.2/32 dev inner label inner:x
ip addr add fd00::1/64 dev inner nodad
ip addr add fd01::1/64 dev inner nodad valid_lft 5000 preferred_lft 0
for device in pair0 pair1 bridge0 inner; do ip link set $device up; done
ip route add default via 10.0.0.9
ip route add 10.5.0.0/16 nexthop via 10.0.0.7 dev pair0 weight 2 nexthop via 10.0.0.8 dev pair0
ip route add 10.5.7.0/24 via 10.0.0.7 metric 20
ip route add unreachable 10.6.0.0/16
ip route add blackhole 10.7.0.0/16 metric 5
ip route add prohibit 10.8.0.0/16
ip route add throw 10.10.0.0/16
ip route add 10.44.0.0/24 dev inner src 10.9.0.1 mtu lock 1400 advmss 1300 rtt 100ms initcwnd 10
ip route add 10.45.0.0/24 via 10.77.0.1 dev inner onlink proto static
ip route add 10.1.1.0/24 dev inner table 100
ip -6 route add fd09::/64 via fd00::2 dev inner metric 7
ip -6 route add unreachable fd66::/64
ip -6 route add default nexthop via fd00::7 dev inner nexthop via fd00::8 dev inner
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev pair0 nud permanent
ip neigh add fd00::2 lladdr 02:00:00:00:00:0a dev inner nud permanent router
ip neigh add 10.0.0.10 lladdr 02:00:00:00:00:0b dev pair0 nud permanent
ip neigh add proxy 10.0.0.77 dev pair0
ip rule add from 10.1.0.0/16 table 77
ip rule add not to 10.2.0.1 iif pair0 lookup 78 pref 100
ip rule add fwmark 0x5/0xff uidrange 10-20 oif pair0 prohibit pref 90
ip rule add fwmark 7 iif gone lookup main pref 91
ip rule add ipproto tcp dport 80-90 sport 5 lookup main suppress_prefixlength 0 pref 300
ip rule add pref 50 goto 100
ip rule add pref 60 tos 0x10 blackhole
ip rule add pref 61 goto 62
ip rule add pref 70 lookup 80 realms 3/4 protocol static
ip -6 rule add from fd01::/64 to fd00::1 unreachable
";

fn network() -> Sandbox {
    let target = sandbox().start();
    script(&target, NETWORK);
    // Not in every kernel.
    let _ = try_script(&target, "ip link add dummy0 type dummy; ip link set dummy0 up");
    let _ = try_script(&target, "ip link add link pair0 name pair0.5 type vlan id 5");
    let _ = try_script(&target, "ip link add tunnel0 type ipip local 10.0.0.1 remote 10.0.0.9");
    // IPv6 has found that its addresses are nobody else's.
    let settled = crate::live::within(crate::support::LIMIT, || {
        !said(&target, &["ip", "-6", "addr"]).contains("tentative")
    });
    assert!(settled);
    target
}

/// Both outputs, taken while the namespace did not change in between; seconds left are not compared.
fn both(target: &Sandbox, line: &str) -> (String, String) {
    let words: Vec<&str> = line.split(' ').collect();
    for _ in 0..20 {
        let before = said(target, &words);
        let ours = target.run(&words);
        let after = said(target, &words);
        if before == after {
            assert_eq!((ours.status, ours.err.as_str()), (0, ""), "{line}: {ours:?}");
            return (before, ours.text());
        }
    }
    panic!("{line}: the namespace does not come to rest");
}

#[test]
fn text_is_iproute2s() {
    needs_root!();
    let target = network();
    for line in [
        "ip a",
        "ip addr show",
        "ip -4 a",
        "ip -6 a",
        "ip -f inet6 addr",
        "ip -br a",
        "ip -br -4 a",
        "ip -o a",
        "ip -o -4 a",
        "ip a show dev inner",
        "ip a show inner up",
        "ip addr show scope link",
        "ip -s a show lo",
        "ip l",
        "ip link show",
        "ip link list other",
        "ip -br l",
        "ip -o l",
        "ip -s -s link show lo",
        "ip link show type veth",
        "ip link show master bridge0",
        "ip r",
        "ip ro show",
        "ip -4 route",
        "ip -6 route",
        "ip -o route",
        "ip route show table all",
        "ip -6 route show table all",
        "ip route show table 100",
        "ip route show table local",
        "ip route show dev inner",
        "ip route show proto kernel",
        "ip route show scope link",
        "ip route show type unreachable",
        "ip route show via 10.0.0.9",
        "ip route show 10.5.0.0/16",
        "ip route show default",
        "ip route show match 10.5.7.1",
        "ip route show root 10.5.0.0/16",
        "ip route get 10.0.0.2 uid 65532",
        "ip route get 10.5.7.1 uid 65532",
        "ip route get 10.44.0.2 uid 65532",
        "ip route get 127.0.0.1 uid 65532",
        "ip route get 10.0.0.255 uid 65532",
        "ip route get 1.2.3.4 dev inner uid 65532",
        "ip route get 10.0.0.2 from 10.0.0.5 mark 3 uid 65532",
        "ip -6 route get fd00::2",
        "ip -6 route get fd00::1",
        "ip -6 route get fd09::1",
        "ip n",
        "ip -4 neigh",
        "ip -6 neigh show",
        "ip -br neigh",
        "ip neigh show dev pair0",
        "ip neigh show nud permanent",
        "ip neigh show proxy",
        "ip -s neigh show dev pair0",
        "ip -d link show lo",
        "ip -d link show pair0",
        "ip -details addr show pair0",
        "ip -d -o link show pair0",
        "ip -d route",
        "ip -d -6 route",
        "ip -d route show table all",
        "ip -d route get 10.5.7.1 uid 65532",
        "ip -c=always a",
        "ip -c=always l",
        "ip -color=always -o a",
        "ip -br -c=always a",
        "ip -br -c=always l",
        "ip -c=always r",
        "ip -c=always -6 r",
        "ip -c=always route get 10.5.7.1 uid 65532",
        "ip -c=always n",
        "ip -br -c=always n",
        "ip -c=never a",
        "ip rule",
        "ip ru list",
        "ip -d rule",
        "ip -6 rule",
        "ip -c=always rule",
        "ip rule show table 77",
        "ip rule show pref 100",
        "ip rule show iif pair0",
    ] {
        let (theirs, ours) = both(&target, line);
        assert!(!theirs.is_empty(), "{line} shows nothing");
        assert_eq!(ours, theirs, "{line}");
    }
    // Without uid, the target's own user is asked for.
    let ran = target.run(&["ip", "route", "get", "10.0.0.2"]).ok();
    assert_eq!(ran, "10.0.0.2 dev pair0 src 10.0.0.1 uid 65532 \n    cache \n");
    // An address of IPv6 says its family.
    assert_eq!(
        target.run(&["ip", "route", "show", "fd66::/64"]).ok(),
        said(&target, &["ip", "-6", "route", "show", "fd66::/64"])
    );
}

/// The rows of both, ours line by line.
fn rows(target: &Sandbox, line: &str) -> (Vec<Value>, Vec<Value>) {
    let words: Vec<&str> = line.split(' ').collect();
    let theirs = said(target, &[&["ip", "-j", "-s"], &words[1..]].concat());
    let ours = crate::live::run(target.nsdbg().args(["--json", "-c", line])).ok();
    let ours = ours.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (serde_json::from_str::<Value>(&theirs).unwrap().as_array().unwrap().clone(), ours)
}

/// A value of theirs where there is one.
fn or_null(value: Option<&Value>) -> Value {
    value.cloned().unwrap_or(Value::Null)
}

#[test]
fn json_has_iproute2s_values() {
    needs_root!();
    let target = network();
    let (theirs, ours) = rows(&target, "ip addr");
    assert_eq!(ours.len(), theirs.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        for (their, our) in [
            ("ifindex", "index"),
            ("ifname", "interface"),
            ("flags", "flags"),
            ("mtu", "mtu"),
            ("qdisc", "qdisc"),
            ("master", "master"),
            ("operstate", "state"),
            ("group", "group"),
            ("link_type", "type_of_link"),
            ("address", "address"),
            ("broadcast", "broadcast"),
            ("link_netnsid", "link_netnsid"),
        ] {
            assert_eq!(ours[our], or_null(theirs.get(their)), "{our}: {ours}");
        }
        let (their, our) = (theirs["addr_info"].as_array().unwrap(), ours["addresses"].as_array().unwrap());
        assert_eq!(our.len(), their.len());
        for (their, our) in their.iter().zip(our) {
            for (name, ours) in [
                ("family", "family"),
                ("local", "address"),
                ("prefixlen", "prefix"),
                ("address", "peer"),
                ("broadcast", "broadcast"),
                ("scope", "scope"),
                ("label", "label"),
            ] {
                assert_eq!(our[ours], or_null(their.get(name)), "{ours}: {our}");
            }
            for flag in our["flags"].as_array().unwrap() {
                assert_eq!(their[flag.as_str().unwrap()], true, "{our}");
            }
            let for_ever = their["valid_life_time"] == u32::MAX;
            assert_eq!(our["valid_seconds"].is_null(), for_ever, "{our}");
        }
    }
    let (theirs, ours) = rows(&target, "ip link show lo");
    for way in ["rx", "tx"] {
        for counter in ["bytes", "packets", "errors", "dropped"] {
            assert_eq!(ours[0][format!("{way}_{counter}")], theirs[0]["stats64"][way][counter]);
        }
    }
    for line in ["ip route show table all", "ip -6 route"] {
        let (theirs, ours) = rows(&target, line);
        assert_eq!(ours.len(), theirs.len());
        for (theirs, ours) in theirs.iter().zip(&ours) {
            let destination = match ours["prefix"].as_u64().unwrap() {
                0 => "default".to_owned(),
                32 if ours["family"] == "inet" => ours["destination"].as_str().unwrap().to_owned(),
                128 => ours["destination"].as_str().unwrap().to_owned(),
                prefix => format!("{}/{prefix}", ours["destination"].as_str().unwrap()),
            };
            assert_eq!(theirs["dst"], destination);
            // What iproute2 leaves out.
            let with = |name: &str, default: &str| theirs.get(name).cloned().unwrap_or(default.into());
            assert_eq!(ours["type_of_route"], with("type", "unicast"), "{ours}");
            assert_eq!(ours["table"], with("table", "main"), "{ours}");
            assert_eq!(ours["protocol"], with("protocol", "boot"), "{ours}");
            assert_eq!(ours["scope"], with("scope", "global"), "{ours}");
            for (their, our) in [
                ("gateway", "gateway"),
                ("dev", "interface"),
                ("prefsrc", "source"),
                ("metric", "metric"),
                ("flags", "flags"),
                ("pref", "preference"),
            ] {
                assert_eq!(ours[our], or_null(theirs.get(their)), "{our}: {ours}");
            }
            let hops = theirs.get("nexthops").map_or(0, |hops| hops.as_array().unwrap().len());
            assert_eq!(ours["nexthops"].as_array().unwrap().len(), hops, "{ours}");
            for at in 0..hops {
                for (their, our) in [("gateway", "gateway"), ("dev", "interface"), ("weight", "weight")] {
                    assert_eq!(ours["nexthops"][at][our], theirs["nexthops"][at][their], "{ours}");
                }
            }
            if let Some(metrics) = theirs.get("metrics") {
                let mut own = metrics[0].clone();
                own.as_object_mut().unwrap().retain(|name, _| name != "locked" && !name.ends_with("lock"));
                assert_eq!(ours["metrics"]["mtu"], 1400, "{ours} {own}");
                assert_eq!(ours["metrics"]["rtt"], 100);
            }
        }
    }
    let (theirs, ours) = rows(&target, "ip neigh");
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(ours["destination"], theirs["dst"]);
        assert_eq!((&ours["interface"], &ours["link_address"]), (&theirs["dev"], &theirs["lladdr"]));
        assert_eq!(ours["state"], theirs["state"][0]);
        assert_eq!(
            ours["flags"].as_array().unwrap().contains(&"router".into()),
            theirs.get("router").is_some()
        );
    }
    // Rows can be filtered.
    let shown = target.line("ip route | where destination eq 10.5.7.0 | select gateway,metric").ok();
    assert_eq!(shown, "GATEWAY   METRIC\n10.0.0.7      20\n");
}

#[test]
fn an_interface_whose_other_end_is_elsewhere_and_one_that_is_down() {
    needs_root!();
    let (one, two) = (sandbox().start(), sandbox().start());
    super::network::link(&one, &two);
    // The node's iproute2 names namespaces of /run/netns; here are none of these.
    let (theirs, ours) = both(&one, "ip a");
    assert_eq!(ours, theirs);
    assert!(ours.contains("wire@if") && ours.contains("link-netnsid 0"), "{ours}");
    script(&two, "ip link set wire down");
    // The kernel tells it after a while.
    let is_told = || said(&one, &["ip", "link"]).contains("NO-CARRIER");
    assert!(crate::live::within(crate::support::LIMIT, is_told));
    let (theirs, ours) = both(&one, "ip -br link");
    assert_eq!(ours, theirs);
    assert!(ours.contains("NO-CARRIER"), "{ours}");
    script(&one, "ip link add half0 type veth peer name half1; ip link set half0 up");
    let (theirs, ours) = both(&one, "ip link");
    assert_eq!(ours, theirs);
    assert!(ours.contains("M-DOWN"), "{ours}");
}

#[test]
fn many_interfaces_addresses_and_routes() {
    needs_root!();
    let target = sandbox().start();
    let mut batch = String::new();
    for at in 0..40 {
        batch.push_str(&format!("link add many{at} type bridge\nlink set many{at} up\n"));
        for last in 0..20 {
            batch.push_str(&format!("addr add 10.{at}.{last}.1/24 dev many{at}\n"));
        }
    }
    for at in 0..5000 {
        batch.push_str(&format!("route add blackhole 172.16.{}.{}/32\n", at / 250, at % 250));
    }
    std::fs::write(target.root.join("tmp/batch"), batch).unwrap();
    script(&target, &format!("ip -batch {}", target.root.join("tmp/batch").display()));
    for line in ["ip -4 a", "ip r"] {
        let (theirs, ours) = both(&target, line);
        assert_eq!(ours, theirs, "{line}");
    }
    assert_eq!(target.line("ip r | count").ok(), "5800\n");
    assert_eq!(target.line("ip r | first 1 | count").ok(), "1\n");
}

#[test]
fn rules_are_rows() {
    needs_root!();
    let target = network();
    let rows = target.line("ip rule show pref 90 --json").ok();
    let row: Value = serde_json::from_str(&rows).unwrap();
    for (field, value) in [
        ("family", "inet".into()),
        ("priority", 90.into()),
        ("action", "prohibit".into()),
        ("output", "pair0".into()),
        ("mark", "0x5/0xff".into()),
        ("users", serde_json::json!([10, 20])),
        ("table", Value::Null),
    ] {
        assert_eq!(row[field], value, "{field}: {row}");
    }
    let shown = target.line("ip rule | where action eq unreachable").ok();
    let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["PRIORITY", "TO", "ACTION"], "{shown}");
    assert_eq!(words[1][1..], ["fd00::1", "unreachable"], "{shown}");
}

#[test]
fn what_it_does_not_do_is_said_in_a_sentence() {
    needs_root!();
    let target = sandbox().start();
    for (line, status, words) in [
        ("ip", 2, "what to show is missing: it is addr, link, route, rule or neigh"),
        ("ip addr add 10.0.0.1/8 dev lo", 2, "'ip addr add' would change the container: nsdbg only looks"),
        ("ip link set lo up", 2, "'ip link set' would change the container: nsdbg only looks"),
        ("ip r del default", 2, "'ip route delete' would change"),
        ("ip maddr", 2, "maddress is not shown: it is addr, link, route, rule or neigh"),
        ("ip rule del pref 7", 2, "'ip rule delete' would change"),
        ("ip rule show from 10.0.0.1", 2, "unknown word 'from': it is pref, table, iif or oif"),
        ("ip rule show pref x", 2, "'x' is not a pref"),
        ("ip a show dev nope", 1, "ip: nope: no such interface"),
        ("ip a show 'a\x1b[2Jb'", 1, "a\\x1b[2Jb: no such interface"),
        ("ip route show table nope", 2, "'nope' is not a table"),
        ("ip route show 1.2.3.4/99", 2, "'1.2.3.4/99' is not a prefix, an address or default"),
        ("ip route show table", 2, "a word is missing behind 'table'"),
        ("ip route get", 2, "the address is missing"),
        ("ip route get nowhere", 2, "'nowhere' is not an address"),
        ("ip route get 192.0.2.1", 2, "route to 192.0.2.1: network is unreachable"),
        ("ip neigh show nud asleep", 2, "'asleep' is not a neighbour state"),
        ("ip -4 -6 a", 2, "cannot be used with"),
    ] {
        let ran = target.line(line);
        ran.fails(status, words);
        assert!(ran.err.lines().count() == 1 && ran.err.starts_with("ip: "), "{line}: {ran:?}");
    }
    assert_eq!(target.run(&["ip", "route"]).ok(), "");
    assert_eq!(target.run(&["ip", "-br", "link"]).ok(), said(&target, &["ip", "-br", "link"]));
}
