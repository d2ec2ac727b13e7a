//! Names that people type and nsdbg does not have: what to type in their place.

use super::help::BUILTINS;
use super::{Entry, Fault, find, nearest};
use crate::out::name::shell_quoted;

/// Names that run another command, with its first arguments.
const SHORTHANDS: &[(&str, &str, &[&str])] = &[
    ("?", "help", &[]),
    ("egrep", "grep", &["-E"]),
    ("fgrep", "grep", &["-F"]),
    ("ll", "ls", &["-l"]),
    ("man", "help", &[]),
];

/// What to type for each of these names. `{pid}` is the target's PID on the node.
const INSTEAD: &[(&[&str], &str)] = &[
    // Files
    (&["realpath"], "readlink -f PATH"),
    (&["tree"], "find DIR"),
    (&["locate"], "find / -name NAME"),
    (
        &["which", "whereis", "type", "command"],
        "help NAME for nsdbg's commands; find / -name NAME for the container's files",
    ),
    (&["getfacl", "lsattr", "test", "["], "why PATH explains access; stat PATH shows the rest"),
    (&["less", "more", "most", "bat", "view"], "cat FILE, head FILE, tail FILE"),
    (
        &["vi", "vim", "nvim", "nano", "emacs", "ed"],
        "cat FILE; to change it: get FILE ., edit it on the node, put it back",
    ),
    (
        &["zcat", "gzip", "gunzip", "zgrep", "bzip2", "xz", "zstd", "unzip"],
        "get FILE . and unpack it on the node",
    ),
    (&["tar", "cpio", "zip"], "on the node: nsdbg {pid} -- get DIR - > FILE.tar"),
    (&["scp", "rsync", "sftp", "ftp"], "get PATH and put PATH copy to and from the node"),
    (
        &["cp", "mv", "dd"],
        "get PATH and put PATH copy to and from the node; in the container: cat FILE > COPY",
    ),
    (&["tee"], "COMMAND > FILE"),
    (&["touch"], "echo -n > FILE empties or makes a file"),
    // Text
    (
        &["awk", "gawk", "mawk"],
        "ps | select pid,command takes fields of rows; grep -o PATTERN takes parts of lines",
    ),
    (&["cut"], "select FIELD takes fields of rows; grep -o PATTERN takes parts of lines"),
    (&["sed"], "head, tail and grep -o take parts; to change a file: get, edit it on the node, put"),
    (&["tr", "rev", "paste", "join", "column", "fold", "fmt"], "on the node: nsdbg {pid} -- cat FILE | …"),
    (&["tac"], "cat -n FILE | sort -rn"),
    (&["nl"], "cat -n FILE"),
    (&["printf"], "echo TEXT"),
    (&["jq", "yq"], "COMMAND --json, and where, select, sort-by, count"),
    (&["xxd", "hexdump", "od", "hd"], "cat -A FILE; on the node: nsdbg {pid} -- cat FILE | xxd"),
    (&["strings"], "grep -ao '[[:print:]]\\{4,\\}' FILE"),
    (&["diff", "cmp", "comm"], "sha256sum FILE FILE; on the node: diff FILE <(nsdbg {pid} -- cat FILE)"),
    (&["md5sum", "cksum", "b2sum", "sha224sum", "sha384sum", "shasum"], "sha256sum FILE, sha1sum, sha512sum"),
    (&["base64"], "on the node: nsdbg {pid} -- cat FILE | base64"),
    (&["xargs", "parallel"], "a glob: cat /etc/*.conf"),
    // Processes
    (&["top", "htop", "atop"], "ps --sort -%cpu; on the node: watch nsdbg {pid} -- ps"),
    (&["watch"], "on the node: watch nsdbg {pid} -- COMMAND"),
    (&["pkill", "killall", "xkill"], "kill NAME"),
    (&["pgrep", "pidof"], "ps -C NAME"),
    (&["pmap"], "proc PID; cat /proc/PID/smaps_rollup"),
    (&["pwdx", "prlimit", "ulimit", "pfiles"], "proc PID: its directory, limits and more"),
    (&["capsh", "getpcaps", "getcap"], "proc PID for capabilities; info for the target's"),
    (&["fuser"], "lsof FILE, lsof -i :PORT"),
    (&["lsns"], "info; proc PID for a process's namespaces"),
    (
        &["nsenter", "unshare", "chroot", "setpriv"],
        "nsdbg is in the container; --ns, --user and --cap-add choose how",
    ),
    (&["vmstat", "iostat", "mpstat", "sar", "dstat"], "cgroup, free, ps --sort -%cpu"),
    (&["uptime", "w"], "ps -o pid,etime,time,args; cat /proc/loadavg"),
    (&["nproc", "lscpu"], "cgroup for the container's share; cat /proc/cpuinfo"),
    (&["strace", "ltrace"], "on the node: strace -f -p {pid}"),
    (&["gdb", "lldb", "dlv", "pstack"], "on the node: gdb -p {pid}"),
    (&["perf", "bpftrace"], "on the node: perf record -g -p {pid}"),
    (&["jobs", "fg", "bg", "nohup", "disown"], "commands run in the foreground; Ctrl-C ends one"),
    (&["systemctl", "service", "rc-service", "supervisorctl"], "ps and pstree; kill -HUP 1"),
    // The network
    (&["curl", "wget", "httpie"], "http get URL"),
    (&["ss"], "netstat -tan"),
    (
        &["nslookup", "host", "getent", "drill", "kdig", "resolvectl"],
        "dns NAME [TYPE] [@SERVER], or dns --explain NAME",
    ),
    (&["openssl", "s_client", "gnutls-cli"], "tls HOST[:PORT]"),
    (&["telnet", "ncat", "socat"], "tcp HOST PORT tells whether it connects; nc HOST PORT talks"),
    (&["nmap"], "tcp HOST PORT; netstat -tl for the container's own ports"),
    (&["traceroute", "tracepath", "mtr"], "ping HOST; on the node: nsenter -t {pid} -n traceroute HOST"),
    (&["ifconfig", "iwconfig"], "ip addr, netstat -i"),
    (&["ethtool"], "ip -s link; on the node: nsenter -t {pid} -n ethtool DEVICE"),
    (&["route"], "ip route, netstat -r"),
    (&["arp"], "ip neigh"),
    (&["tcpdump", "tshark", "wireshark"], "on the node: nsenter -t {pid} -n tcpdump -i any"),
    (&["iptables", "ip6tables", "nft", "conntrack"], "on the node: nsenter -t {pid} -n iptables-save"),
    (
        &["psql", "mysql", "redis-cli", "mongosh", "grpcurl"],
        "tcp HOST PORT, tls HOST:PORT; on the node: nsenter -t {pid} -n …",
    ),
    (&["ssh"], "tcp HOST 22"),
    // The system
    (&["id", "whoami", "groups"], "users marks the session's user with *"),
    (&["getfattr"], "on the node: getfattr -d -m - /proc/{pid}/root/PATH"),
    (&["passwd", "useradd", "adduser"], "users lists them; cat /etc/passwd"),
    (&["hostname", "hostnamectl"], "cat /proc/sys/kernel/hostname"),
    (&["uname", "arch", "lsb_release"], "cat /proc/version, cat /etc/os-release"),
    (&["date"], "the clock is the node's: date there"),
    (&["sysctl"], "cat /proc/sys/NAME, with / for each dot"),
    (&["lsblk", "blkid", "fdisk"], "df, mounts"),
    (&["umount"], "mounts lists them; on the node: nsenter -t {pid} -m umount PATH"),
    (
        &["logs", "journalctl", "logread"],
        "kubectl logs POD, podman logs NAME or docker logs NAME; lsof -p 1 shows where it writes",
    ),
    (&["dmesg"], "doctor finds OOM kills; on the node: dmesg"),
    (
        &["docker", "podman", "nerdctl", "crictl", "ctr", "kubectl", "lxc"],
        "targets, info, switch TARGET; on the node: the runtime's own",
    ),
    (&["inspect"], "info"),
    (
        &["apt", "apt-get", "apk", "yum", "dnf", "pip", "npm", "rpm", "dpkg"],
        "nsdbg adds nothing to a container",
    ),
    (
        &["python", "python3", "node", "perl", "ruby", "php", "java"],
        "nsdbg runs none of the container's programs",
    ),
    // The shell
    (
        &["sh", "bash", "ash", "dash", "zsh", "fish", "busybox", "toybox"],
        "nsdbg's prompt is the shell here: help lists its commands",
    ),
    (&["sudo", "su", "doas"], "nsdbg --root or --user"),
    (&["clear", "reset", "cls"], "Ctrl-L clears the screen"),
    (&[".."], "cd .."),
    (&["logout", "bye"], "exit"),
    (&["set", "declare", "setenv"], "export NAME=VALUE; env lists all"),
    (
        &["alias", "source", ".", "eval", "exec", "if", "for", "while", "case", "function", "read"],
        "a line has pipes, redirections, ; && and ||; for more, a shell on the node runs nsdbg {pid} -- COMMAND",
    ),
    (&["pushd", "popd", "dirs"], "cd DIRECTORY, cd -"),
    (&["time"], "time stands first in a line; from a shell: nsdbg {pid} -c 'time COMMAND'"),
    (&["timeout"], "nsdbg --timeout TIME"),
];

/// The command with this name, alias or shorthand, and what the shorthand puts before its arguments.
pub fn resolve(name: &str) -> Option<(&'static Entry, &'static [&'static str])> {
    let shorthand = SHORTHANDS.iter().find(|shorthand| shorthand.0 == name);
    let (name, first) = shorthand.map_or((name, &[][..]), |(_, name, first)| (name, *first));
    find(name).map(|entry| (entry, first))
}

/// The fault of a command that there is not, with what to type in its place. `pid` is the target's on the node.
pub fn unknown(name: &str, pid: Option<i32>) -> Fault {
    let fault = Fault::text("", name, "no such command").with_status(127);
    let pid = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    if let Some((_, instead)) = INSTEAD.iter().find(|(names, _)| names.contains(&name)) {
        return fault.with_hint(instead.replace("{pid}", &pid));
    }
    if name.contains([' ', '|', ';', '&', '<', '>', '\n']) {
        return fault.with_hint(format!("a line is run by -c {}", shell_quoted(name.as_bytes())));
    }
    if name.contains('/') {
        return fault.with_hint("nsdbg runs none of the container's programs: help lists its commands");
    }
    let builtins: Vec<&'static str> = BUILTINS.iter().map(|builtin| builtin.name).chain(["quit"]).collect();
    match nearest(name, &builtins) {
        Some(near) => fault.with_hint(format!("did you mean {near}?")),
        None => fault.with_hint("nsdbg runs its own commands only: help lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(name: &str) -> String {
        unknown(name, Some(4242)).hint.unwrap_or_default()
    }

    #[test]
    fn names_of_other_tools_get_their_own_answer() {
        for (name, answer) in [
            ("curl", "http get URL"),
            ("openssl", "tls HOST[:PORT]"),
            ("nslookup", "dns NAME"),
            ("strace", "on the node: strace -f -p 4242"),
            ("tcpdump", "nsenter -t 4242 -n tcpdump"),
            ("watch", "watch nsdbg 4242 -- COMMAND"),
            ("..", "cd .."),
            ("ls | wc -l", "-c 'ls | wc -l'"),
            ("time", "-c 'time COMMAND'"),
            ("/bin/ls", "none of the container's programs"),
        ] {
            assert!(hint(name).contains(answer), "{name}: {}", hint(name));
        }
        for name in "awk cut sed diff tee test date uname cp tar scp tree xxd fuser lsns arp vmstat docker gdb type \
                     realpath getfacl md5sum strings hexdump which xargs pmap ulimit sysctl capsh hostname uptime clear \
                     nmap traceroute id logs"
            .split_whitespace()
        {
            let answer = hint(name);
            assert!(!answer.contains("did you mean") && !answer.contains("help lists"), "{name}: {answer}");
        }
    }

    #[test]
    fn a_spelling_is_guessed_within_one_edit_or_from_a_beginning() {
        for (typed, meant) in
            [("exti", "exit"), ("sl", "ls"), ("nestat", "netstat"), ("doct", "doctor"), ("hist", "history")]
        {
            assert_eq!(hint(typed), format!("did you mean {meant}?"));
        }
        for typed in ["xyzzy", "q", "bison", "mount.nfs", ""] {
            assert_eq!(hint(typed), "nsdbg runs its own commands only: help lists them", "{typed}");
        }
        assert_eq!(unknown("xyzzy", None).status, 127);
    }

    #[test]
    fn every_name_stands_once_and_is_no_command() {
        let mut names: Vec<&str> = INSTEAD.iter().flat_map(|(names, _)| *names).copied().collect();
        names.extend(SHORTHANDS.iter().map(|shorthand| shorthand.0));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for name in names {
            assert!(find(name).is_none(), "{name} is a command");
        }
        for (short, name, _) in SHORTHANDS {
            assert!(find(name).is_some(), "{short}");
        }
    }
}
