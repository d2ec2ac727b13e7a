//! Hostile answers of the API server, and hostile text on the way to the operator's terminal.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Cluster, HOSTILE, clusters, helper, line, pod, script, steering};
use crate::ssh::{node, ssh_nsdbg};

/// What prints the hostile words, and a byte that is not UTF-8, in a script.
fn prints_hostile() -> String {
    let octal: String = HOSTILE.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    format!("printf 'said {octal} \\2338m\\n'")
}

/// Asserts that a terminal got these words and nothing that steers it.
fn shows(cluster: &Cluster, command: Command, name: &str, words: &str) {
    let ran = cluster.on_terminal(command);
    let text = ran.text();
    assert!(steering(&ran.out).is_empty(), "{name}: {:?}: {}", cluster.shell, ran.out.escape_ascii());
    assert!(text.contains(words), "{name}: {words}: {:?}: {text}", cluster.shell);
}

fn many(pods: &str) -> String {
    format!("{}{pods}", pod("web-1", "n1", "Running", ""))
}

// Seen to fail with each check of `accept` taken out.
#[test]
fn answers_of_another_form_are_refused() {
    let web = pod("web-0", "n1", "Running", "");
    let other = web.replace("prod", "kube-system").replace("app0123456789ab", "etcd0123456789ab");
    let bent = |from: &str, to: &str| {
        assert!(web.contains(from), "{from}");
        web.replacen(from, to, 1)
    };
    let answers = [
        // A second pod, parts out of order, parts that are missing.
        format!("{web}{other}"),
        bent(".\n", &other),
        bent("S\t\"app\"\nS\t\"sidecar\"\n", ""),
        bent(".\n", "S\t\"more\"\n.\n"),
        bent(".\n", ""),
        bent("P\t", "C\t"),
        String::new(),
        // Too few values, too many, without their quotes, with bytes that no quoted value has.
        bent("\t\"Running\"", ""),
        bent("\"Running\"", "\"Running\"\t\"x\""),
        bent("\"Running\"", "Running"),
        bent("\"Running\"", "\"Run\"ning\""),
        bent("\"Running\"", "%!q(<nil>)"),
        bent("\"Running\"", &format!("\"{HOSTILE}\"")),
        bent("\"Running\"", "\"ü\""),
        // Names that are none, and those of another pod.
        bent("\"n1\"", "\"n1|x\""),
        bent("\"n1\"", "\"--rm\""),
        bent("\"web-0\"", "\"web-1\""),
        bent("\"web-0\"", "\"$(touch here)\""),
        bent("\"prod\"", "\"pr'od\""),
        bent("\"prod\"", "\"kube-system\""),
        bent("\"sidecar\"", "\"a b\""),
        bent("\"sidecar\"", "\"\\u009b8m\""),
    ];
    for cluster in clusters() {
        for answer in &answers {
            cluster.has("pod", answer);
            shows(
                &cluster,
                cluster.command(&["-n", "prod", "web-0", "--", "ls"]),
                answer,
                "can't see pod web-0: kubectl's",
            );
        }
        for answer in answers.iter().filter(|answer| !answer.is_empty() && !answer.contains("web-1")).skip(1)
        {
            if answer.contains("kube-system") {
                continue;
            }
            cluster.has("pods", &many(answer));
            shows(&cluster, cluster.command(&["-l", "a", "--", "ls"]), answer, "can't list pods: kubectl's");
        }
        let wrong = "H\t\"n1\"\t\"nsdbg-n1\"\t\"Running\"\n";
        for answer in
            [wrong, &line("H", &["n1", "-x", "Running", "True", "1", "", ""]), &pod("x", "n1", "Running", "")]
        {
            cluster.has("pod", &web).has("helpers", answer);
            let command = cluster.command(&["web-0", "--", "ls"]);
            shows(&cluster, command, answer, "can't see nsdbg's pods in namespace nsdbg-system: kubectl's");
        }
        let label = |value: &str| line("M", &["app", value]);
        for answer in [&label("a,b"), &label("x' $(touch here)"), &line("V", &["x"]), "app=web,"] {
            cluster.has("owner", answer);
            let command = cluster.command(&["deploy/web", "--", "ls"]);
            shows(&cluster, command, answer, "can't look up deploy/web: kubectl's");
        }
        cluster.has("owner", &line("X", &["Gt", "x"]));
        shows(
            &cluster,
            cluster.command(&["deploy/web", "--", "ls"]),
            "Gt",
            "a selector with an unknown operator",
        );
        assert!(cluster.calls_of("exec").is_empty(), "{:?}", cluster.calls_of("exec"));
        assert!(!cluster.files.join("here").exists());
        assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    }
}

// Seen to fail with the id put into the line that eval reads, and with a default that names two containers.
#[test]
fn ids_reasons_and_annotations_are_neither_code_nor_names() {
    for cluster in clusters() {
        let id = |id: &str| pod("web-0", "n1", "Running", "").replacen("containerd://app0123456789ab", id, 1);
        for id in [id("containerd://$(touch $FAKE/here)"), id("x`touch $FAKE/here`"), id("a\\\" ls")] {
            cluster.has("pod", &id).has("pods", &id);
            for args in [&["web-0", "-c", "app", "--", "ls"][..], &["-l", "a", "-c", "app", "--", "ls"]] {
                shows(
                    &cluster,
                    cluster.command(args),
                    &id,
                    "container app of pod prod/web-0 has an id that is none",
                );
            }
        }
        // A reason is text: of its bars, escapes and line ends none counts.
        let reason = pod("web-0", "n1", "Running", "").replacen(
            "\"2026-01-01T00:00:00Z\"\t\"\"",
            "\"\"\t\"a|b\\nC|app|x\\033[8m\\u009b\"",
            1,
        );
        cluster.has("pod", &reason).has("pods", &reason);
        for args in [&["web-0", "-c", "app", "--", "ls"][..], &["-l", "a", "-c", "app", "--", "ls"]] {
            let words = "does not run (a!b\\nC!app!x\\033[8m\\u009b): kubectl describe";
            shows(&cluster, cluster.command(args), "reason", words);
        }
        assert!(cluster.calls_of("exec").is_empty() && !cluster.files.join("here").exists());
        for default in
            ["app sidecar", "x\\nP|kube-system|etcd-0|n9|Running|True||", "\\u009b", "sidecar|", "*"]
        {
            cluster.has("pod", &pod("web-0", "n1", "Running", default));
            shows(
                &cluster,
                cluster.command(&["web-0", "--", "ls"]),
                default,
                "container app of app, sidecar",
            );
        }
        let calls = cluster.calls_of("exec");
        assert_eq!(calls.len(), 5);
        assert!(calls.iter().all(|call| call.contains(&"id:app0123456789ab".to_owned())), "{calls:?}");
    }
}

// Seen to fail with kubectl's stderr and output passed on as they are.
#[test]
fn r24_what_kubectl_says_does_not_steer_the_terminal() {
    for cluster in clusters() {
        let error = format!("Error from server (NotFound): pods \"web-0\" {HOSTILE} not found\n");
        let run =
            |args: &[&str], name: &str, words: &str| shows(&cluster, cluster.command(args), name, words);
        cluster.has("pod.fail", &error);
        run(&["web-0", "--", "ls"], "get", "not found: kubectl get pods");
        let _ = std::fs::remove_file(cluster.files.join("pod.fail"));
        cluster.has("exec.fail", &error);
        run(&["web-0", "--", "ls"], "exec", "can't run a command in nsdbg's pods");
        run(&["--node", "n1"], "a node's exec", "can't run a command in nsdbg's pods");
        let _ = std::fs::remove_file(cluster.files.join("exec.fail"));
        // What comes from the node on stderr before nsdbg is there, or in place of it.
        let said = prints_hostile();
        for end in ["", "; exit 1", "; printf 'last \\233'", "; printf 'Error from server: \\233'; exit 1"] {
            cluster.has("exec", &format!("{{ {said}; printf 'Wörter\\n'; {said}{end}; }} >&2"));
            run(&["web-0", "--", "ls"], end, "said ?]0;t??[8m??8m?????? ?8m");
            run(&["web-0", "--", "ls"], end, "Wörter");
            cluster.has("pods", &pod("web-0", "n1", "Running", ""));
            run(&["-l", "a", "--", "ls"], end, "n1 prod/web-0: Wörter");
        }
        cluster.has("apply", HOSTILE).has("rollout.fail", &error).has("delete", &format!("{HOSTILE}\u{9b}"));
        run(&["--install"], "install", "not every node has it yet");
        let own = line("O", &["DaemonSet", "nsdbg", "kubectl-nsdbg", "", ""]);
        cluster.has(
            "installed",
            &(own.clone() + &line("O", &["Namespace", "nsdbg-system", "kubectl-nsdbg", "", ""])),
        );
        cluster.has("api-resources", &format!("pods\n{HOSTILE}\nroles\n"));
        cluster.has("others", &line("F", &["Secret", "\\u009b8m|x", ""]));
        run(&["--uninstall"], "uninstall", "it holds Secret/\\u009b8m!x");
        cluster.has("installed", &line("O", &[HOSTILE, "nsdbg", "", "", ""]));
        run(&["--uninstall"], "a kind", "can't see what is installed: kubectl's answer");
        cluster.has("installed", &own);
        let _ = std::fs::remove_file(cluster.files.join("rollout.fail"));
        cluster.has("exec", &said);
        run(&["--install"], "version", "the image holds said");
        cluster.has("helpers", "").has("wait.fail", &error).has("pod", &line("W", &["\\u009b", HOSTILE, ""]));
        run(&["--node", "n1"], "start", "did not start on node n1");
        cluster.has("create.fail", &error);
        run(&["--node", "n1"], "create", "can't make a pod");
        // What the operator pasted.
        run(&[HOSTILE], "a name", "a pod has no such name");
        run(&[&format!("-{HOSTILE}")], "an option", "no such option");
        assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    }
}

/// Characters that steer a terminal or can't be seen.
fn hidden() -> regex::Regex {
    regex::Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]").unwrap()
}

// Seen to fail with the rows as nsdbg printed them, and with lines whose C1 and bidi controls pass.
#[test]
fn r24_rows_of_many_pods_do_not_steer_the_terminal() {
    let hidden = hidden();
    for cluster in clusters() {
        cluster.has("pods", &pod("web-0", "n1", "Running", ""));
        // Whatever may not be shown, one to a line, and in a row.
        let mut text = [0; 4];
        let all: String = ('\u{1}'..=char::MAX)
            .filter(|ch| *ch != '\n' && hidden.is_match(ch.encode_utf8(&mut text)))
            .collect();
        assert!(all.chars().count() > 4000);
        let lines: String = all.chars().map(|ch| format!("é{ch}\"\\漢\n")).collect();
        let wide = all.replace(|ch: char| ch < ' ', "");
        std::fs::write(cluster.files.join("lines"), [lines.as_bytes(), b"\x9b\xff\n\xe0\x82\x9b\n"].concat())
            .unwrap();
        std::fs::write(cluster.files.join("rows"), format!("{{\"x\":\"{wide}\",\"é\":\"\\\"\\\\\"}}\n"))
            .unwrap();
        for (options, file) in [(&[][..], "lines"), (&["--json"], "rows")] {
            cluster.has("exec", &format!("cat \"$FAKE/{file}\""));
            let ran = cluster.run(&[&["-l", "a", "-q"], options, &["--", "cat", "x"]].concat());
            let out = String::from_utf8(ran.out).unwrap();
            let shown: Vec<char> =
                out.chars().filter(|ch| *ch != '\n' && hidden.is_match(ch.encode_utf8(&mut text))).collect();
            assert!(shown.is_empty(), "{:?}: {shown:?}", cluster.shell);
            let rows: Vec<Value> = out.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
            if file == "rows" {
                let row = &rows[0]["row"];
                assert_eq!((&row["x"], &row["é"]), (&wide.as_str().into(), &"\"\\".into()));
                continue;
            }
            let (first, last) = rows.split_at(rows.len() - 2);
            let read: String =
                first.iter().map(|row| row["line"].as_str().unwrap().to_owned() + "\n").collect();
            assert!(read == lines, "{:?}", cluster.shell);
            assert_eq!(
                (&last[0]["line"], &last[1]["line"]),
                (&"\u{fffd}\u{fffd}".into(), &"\u{fffd}\u{fffd}\u{fffd}".into())
            );
        }
    }
}

/// Fields in the order in which they are written, also where a name is there twice.
struct Fields(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> serde::de::Visitor<'de> for All {
            type Value = Fields;

            fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut all = Vec::new();
                while let Some(field) = map.next_entry()? {
                    all.push(field);
                }
                Ok(Fields(all))
            }
        }
        from.deserialize_map(All)
    }
}

// Seen to fail with a row's fields beside those of its pod: the row forged them, or broke the line.
#[test]
fn r24_no_row_of_a_pod_says_that_it_is_another_pods() {
    let head = r#"{"node":"n1","namespace":"prod","pod":"web-0","container":"app","row":"#;
    let deep = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let objects = [
        r#"{"pod":"web-9","node":"n9","row":{},"in_target":"x"}"#.to_owned(),
        r#"{"a":1,"b":[-0.5e+3,true,false,null,"",[],{}],"c":{"d":"\u0041\"}{\\","e":"x: [y], {z}"}}"#
            .to_owned(),
        r#"{ "a" : "b" , "c" : [ 1 , 2 ] }"#.to_owned(),
        deep(20),
    ];
    let others = [
        r#"{"x":1},"node":"n9","pod":"web-9"}"#,
        r#"{"x":1}}{"node":"n9"}"#,
        r#"{"x":1}{"x":1}"#,
        r#"{"x":"a"b"}"#,
        r#"{"x":"}"#,
        r#"{"x":"\"}"#,
        r#"{"x":"\x"}"#,
        r#"{"x":"\ud800"}"#,
        r#"{"x":01}"#,
        r#"{"x":1 2}"#,
        r#"{"x":1.}"#,
        r#"{"x":+1}"#,
        r#"{"x":tr ue}"#,
        r#"{"x":nullnull}"#,
        r#"{"x"}"#,
        r#"{"x":1,}"#,
        r#"{,}"#,
        r#"{x:1}"#,
        r#"{"x"::1}"#,
        r#"{"x":[1,"y":2]}"#,
        r#"{"x":[1}]}"#,
        r#"{1}"#,
        "{\"x\":\u{1}}",
        "{\u{2}\u{3}}",
        "{\"x\":\t1}",
        "[1]",
        "1",
        "",
    ];
    let deepest = deep(4000);
    for cluster in clusters() {
        cluster.has("pods", &pod("web-0", "n1", "Running", ""));
        let lines = objects.iter().map(String::as_str).chain(others).chain([&*deepest]);
        cluster.has("lines", &lines.map(|line| format!("{line}\n")).collect::<String>());
        cluster.has("exec", "cat \"$FAKE/lines\"");
        let ran = cluster.run(&["-l", "a", "-q", "--json", "--", "cat", "x"]);
        let text = ran.text();
        let shown: Vec<&str> = text.lines().collect();
        assert_eq!(shown.len(), objects.len() + others.len() + 1, "{text}");
        for (line, object) in shown.iter().zip(&objects) {
            assert_eq!(*line, format!("{head}{object}}}"), "{:?}", cluster.shell);
        }
        for (line, said) in shown[objects.len()..].iter().zip(others.iter().chain([&&*deepest])) {
            let Fields(fields) = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["node", "namespace", "pod", "container", "line"], "{line}");
            assert_eq!(fields[4].1, Value::from(*said), "{:?}", cluster.shell);
            assert_eq!((&fields[0].1, &fields[2].1), (&"n1".into(), &"web-0".into()));
        }
    }
}

// Seen to fail with a line that is cut from its head again and again: 4 MB took minutes.
#[test]
fn a_long_line_takes_linear_time() {
    for cluster in clusters().into_iter().filter(|cluster| cluster.shell[0] != "busybox") {
        cluster.has("pods", &pod("web-0", "n1", "Running", ""));
        for (byte, count) in
            [("\"", 1 << 22), ("\\233", 1 << 22), ("\\200", 1 << 22), ("\\001", 1 << 18), ("ü", 1 << 21)]
        {
            cluster.has(
                "exec",
                &format!(
                    "printf \"$(printf '%0{count}d' 0 | sed 's/0/{}/g')\"",
                    byte.replace('\\', "\\\\").replace('"', "\\\"")
                ),
            );
            let begun = std::time::Instant::now();
            let ran = cluster.run(&["-l", "a", "-q", "--", "cat", "x"]);
            assert!(ran.out.len() > count, "{byte}: {} bytes", ran.out.len());
            assert!(begun.elapsed().as_secs() < 20, "{byte}: {:?}", begun.elapsed());
        }
    }
}

// Seen to fail with ssh's stderr passed on as it is.
#[test]
fn r24_what_ssh_and_the_node_say_does_not_steer_the_terminal() {
    for cluster in clusters() {
        node(&cluster);
        let run =
            |args: &[&str], name: &str, words: &str| shows(&cluster, ssh_nsdbg(&cluster, args), name, words);
        let said = prints_hostile();
        let binary = format!("#!/bin/sh\n{{ {said}; printf 'Wörter\\n'; }} >&2; printf 'last \\233' >&2\n");
        script(&cluster.files.join("nsdbg"), &binary);
        run(&["node", "web-0"], "the node", "said ?]0;t??[8m??8m?????? ?8m");
        run(&["node", "web-0"], "the node", "Wörter");
        run(&["node", "web-0"], "the node", "last ?\r\n");
        cluster.has("ssh.fail", &format!("banner {HOSTILE}\n"));
        run(&["node", "web-0"], "ssh", "ssh to node failed");
        run(&[&format!("--{HOSTILE}")], "an option", "no such option");
        run(&["--rm", &format!("node{HOSTILE}"), "web-0"], "a host", "failed");
        assert!(cluster.left().is_empty(), "{:?}", cluster.left());
    }
}

// Seen to fail with any block of `harmless` made wider, and with all that is not ASCII left out.
#[test]
fn r24_stderr_passes_text_but_no_invisible_character() {
    let hidden = hidden();
    let mut bytes = [0; 4];
    // Of the tags, which are one block, those at its ends.
    let all: Vec<char> = ('\u{1}'..=char::MAX)
        .filter(|ch| !matches!(ch, '\n' | '\t' | '\u{e0010}'..='\u{e0fef}'))
        .filter(|ch| hidden.is_match(ch.encode_utf8(&mut bytes)))
        .collect();
    let lines: String = all.iter().map(|ch| format!("a{ch}b\n")).collect();
    let text = "Wörter, mañana, кириллица, ελληνικά, עברית, فارسی ی, ไทย, 漢字, かな, 한국어, Tiếng Việt, “…” → ─ 🎉\n";
    let cluster = crate::harness::cluster();
    node(&cluster);
    cluster.has("lines", &(lines + text));
    script(&cluster.files.join("nsdbg"), "#!/bin/sh\ncat \"$FAKE/lines\" >&2\n");
    let ran = cluster.on_terminal(ssh_nsdbg(&cluster, &["node", "web-0"]));
    let said = ran.text().replace("\r\n", "\n");
    let shown: Vec<String> = said
        .chars()
        .filter(|ch| *ch != '\n' && hidden.is_match(ch.encode_utf8(&mut bytes)))
        .map(|ch| format!("U+{:04X}", u32::from(ch)))
        .collect();
    assert!(shown.is_empty(), "{shown:?}");
    assert!(said.ends_with(text), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with('a')).count(), all.len());
}

// Seen to fail with a filter that is changed in one of the two.
#[test]
fn both_scripts_filter_alike() {
    let own = std::fs::read_to_string(crate::harness::plugin()).unwrap();
    let other = std::fs::read_to_string(crate::harness::plugin().with_file_name("ssh-nsdbg")).unwrap();
    let part = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from).unwrap();
        rest.split_once(to).unwrap().0.to_owned()
    };
    for (from, to) in [("\nharmless=", "\n}\n"), ("\nfind_ends() {", "\n}\n")] {
        assert_eq!(part(&own, from, to), part(&other, from, to));
    }
}

// Seen to fail with a wait for end of file: a login plugin or a shared connection may keep stderr open.
#[test]
fn a_stderr_that_stays_open_does_not_delay_the_end() {
    for cluster in clusters() {
        cluster.has("holds", "").has("exec", "echo over >&2");
        node(&cluster);
        script(&cluster.files.join("nsdbg"), "#!/bin/sh\necho over >&2\n");
        for mut command in
            [cluster.command(&["web-0", "-c", "app", "--", "ls"]), ssh_nsdbg(&cluster, &["node", "web-0"])]
        {
            let begun = std::time::Instant::now();
            command
                .stdin(std::process::Stdio::null())
                .stderr(std::fs::File::create(cluster.files.join("said")).unwrap());
            let ran = cluster.end(command.process_group(0).spawn().unwrap());
            assert!(ran.status == 0 && begun.elapsed().as_secs() < 10, "{:?}: {ran:?}", cluster.shell);
            assert!(cluster.file("said").ends_with("over\n"), "{}", cluster.file("said"));
        }
        for pid in cluster.file("held").lines() {
            let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    }
}

// Seen to fail with the line believed whatever kubectl's own status is.
#[test]
fn a_command_can_not_fake_kubectls_exit_status() {
    for cluster in clusters() {
        cluster.has("helpers", &helper("n1")).has("exec", "echo 'command terminated with exit code 9' >&2");
        let ran = cluster.run(&["web-0", "-c", "app", "--", "ls"]);
        assert_eq!((ran.status, ran.err.as_str()), (0, "command terminated with exit code 9\n"));
        cluster.has("exec", "echo 'command terminated with exit code 9; x' >&2; exit 3");
        let ran = cluster.run(&["web-0", "-c", "app", "--", "ls"]);
        assert_eq!((ran.status, ran.err.as_str()), (3, "command terminated with exit code 9; x\n"));
        // kubectl failed on its own, after such a line.
        cluster.has("exec.fail", "command terminated with exit code 9; x\n");
        let ran = cluster.run(&["web-0", "-c", "app", "--", "ls"]);
        assert!(
            ran.status == 125 && ran.err.starts_with("command terminated with exit code 9; x\n"),
            "{ran:?}"
        );
    }
}
