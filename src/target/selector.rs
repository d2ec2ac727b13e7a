//! What the operator may type to name a target.

use super::container::{Container, Listing};
use crate::out::Fault;

/// The target as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// A PID of the node.
    Pid(i32),
    /// The beginning of a container's id.
    Id(String),
    /// A container's name.
    Name(String),
    /// `[NAMESPACE/]POD[/CONTAINER]`.
    Pod(String),
    /// A name, a pod, or the beginning of an id.
    Any(String),
}

/// So many hexadecimal digits are an id: a name that looks like one has to be told as a name.
const WHOLE_ID: usize = 12;
/// So many may be the beginning of one, beside a name.
const SOME_ID: usize = 4;
/// In place of a container's name: the sandbox of its pod, as a kubelet with Docker calls it.
const SANDBOX: &str = "POD";

impl Selector {
    /// Parses a TARGET: twelve or more hexadecimal digits are an id, fewer decimal ones a PID; `pid:`, `id:`, `name:` and
    /// `pod:` force one kind.
    ///
    /// # Errors
    /// A usage fault that says what a target looks like.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |why: &'static str| Fault::text("target", text, why).with_status(2);
        let (kind, value) = match text.split_once(':') {
            Some((kind @ ("pid" | "id" | "name" | "pod"), value)) => (kind, value),
            // No PID has so many digits.
            _ if text.len() >= WHOLE_ID && is_hexadecimal(text) => ("id", text),
            _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => ("pid", text),
            _ if text.starts_with('-') => ("pid", text),
            _ => ("", text),
        };
        if value.is_empty() {
            return Err(wrong("no name: a PID, a container's name or id, or [NAMESPACE/]POD[/CONTAINER]"));
        }
        Ok(match kind {
            "pid" => Self::Pid(pid(value).map_err(wrong)?),
            "id" => Self::Id(value.to_ascii_lowercase()),
            "name" => Self::Name(value.to_owned()),
            "pod" => Self::Pod(value.to_owned()),
            _ => Self::Any(value.to_owned()),
        })
    }

    /// Parses what `--pid` is given.
    ///
    /// # Errors
    /// A usage fault for anything but a PID.
    pub fn parse_pid(text: &str) -> Result<Self, Fault> {
        pid(text).map(Self::Pid).map_err(|why| Fault::text("target", text, why).with_status(2))
    }

    /// The containers that it names, in whatever way: no kind of name goes before another, so that nobody can choose a
    /// name that stands for another container. Sandboxes are named by their id, or in full.
    pub fn matches<'a>(&self, listing: &'a Listing) -> Vec<&'a Container> {
        let all = |test: &dyn Fn(&Container) -> bool| listing.containers.iter().filter(|c| test(c)).collect();
        match self {
            Self::Pid(pid) => listing.of(*pid).into_iter().collect(),
            Self::Id(id) => all(&|c| is_id(c, id, 1)),
            Self::Name(name) => all(&|c| is_name(c, name)),
            Self::Pod(name) => all(&|c| is_pod(c, name)),
            Self::Any(text) => {
                let id = text.to_ascii_lowercase();
                all(&|c| is_name(c, text) || is_pod(c, text) || is_id(c, &id, SOME_ID))
            }
        }
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn pid(text: &str) -> Result<i32, &'static str> {
    match text.parse::<i64>() {
        Ok(pid @ 1..=0x3f_ffff) => Ok(pid as i32),
        Ok(0) => Err("PIDs begin at 1"),
        Ok(_) => Err("no PID: 1 to 4194303"),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
            Err("no PID: 1 to 4194303")
        }
        Err(_) => Err("no PID: a number, as in nsdbg --pid 4242"),
    }
}

/// Its id, or at least so many of the first digits. What others than root call an id is one of theirs alone.
fn is_id(container: &Container, text: &str, least: usize) -> bool {
    let parts = |id: &str| match id.split_once('@') {
        Some((id, owner)) => (id.to_ascii_lowercase(), owner.to_ascii_lowercase()),
        None => (id.to_ascii_lowercase(), String::new()),
    };
    let ((id, owner), (typed, of)) = (parts(&container.id), parts(text));
    let is_beginning = id.len() == 64 && typed.len() >= least && id.starts_with(&typed);
    owner == of && !id.is_empty() && (id == typed || is_beginning)
}

/// Its own name; of a container of a pod that is the one within the pod.
fn is_name(container: &Container, name: &str) -> bool {
    container.is_named && !container.is_sandbox && container.name == name
}

/// `POD`, `NAMESPACE/POD`, `POD/CONTAINER`, `NAMESPACE/POD/CONTAINER`. A sandbox is only `NAMESPACE/POD/POD`, the last word
/// as it is: no container of a kubelet's has a name of capitals.
fn is_pod(container: &Container, text: &str) -> bool {
    let Some(pod) = &container.pod else { return false };
    let name = container.container.as_deref().unwrap_or(&container.name);
    match text.split('/').collect::<Vec<_>>()[..] {
        [namespace, second, SANDBOX] if container.is_sandbox => {
            namespace == pod.namespace && second == pod.name
        }
        _ if container.is_sandbox => false,
        [one] => one == pod.name || (!pod.uid.is_empty() && one == pod.uid),
        [first, second] => {
            (first == pod.namespace && second == pod.name) || (first == pod.name && second == name)
        }
        [namespace, second, third] => namespace == pod.namespace && second == pod.name && third == name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::container::tests::{container, pod};

    #[test]
    fn digits_are_pids_and_prefixes_force_a_kind() {
        for (text, selector) in [
            ("1", Selector::Pid(1)),
            ("pid:4242", Selector::Pid(4242)),
            ("4194303", Selector::Pid(4_194_303)),
            ("id:3F2A", Selector::Id("3f2a".into())),
            ("id:42", Selector::Id("42".into())),
            ("name:42", Selector::Name("42".into())),
            ("pod:prod/web-0", Selector::Pod("prod/web-0".into())),
            ("web-0", Selector::Any("web-0".into())),
            ("cafecafecafe", Selector::Id("cafecafecafe".into())),
            ("123456789012", Selector::Id("123456789012".into())),
            ("name:cafecafecafe", Selector::Name("cafecafecafe".into())),
            ("cafecafecaf", Selector::Any("cafecafecaf".into())),
            ("1x", Selector::Any("1x".into())),
            ("a:b", Selector::Any("a:b".into())),
        ] {
            assert_eq!(Selector::parse(text).ok(), Some(selector), "{text}");
        }
        for text in ["0", "-1", "4194304", "99999999999", "", "pid:", "pid:web", "id:", "name:"] {
            assert_eq!(Selector::parse(text).unwrap_err().status, 2, "{text}");
        }
        assert_eq!(Selector::parse_pid("web").unwrap_err().status, 2);
    }

    // Seen to fail with names before pods and those before ids.
    #[test]
    fn no_kind_of_name_goes_before_another() {
        let id = |digits: &str| format!("{digits}{}", "0".repeat(64 - digits.len()));
        let mut user = container("web@1000", &format!("{}@1000", id("eeee6666")), None);
        user.owner = Some("1000".into());
        let mut process = container("(web)", "", None);
        process.is_named = false;
        let mut pause = pod("prod", "web-0", "", &id("ffff9999"));
        (pause.is_sandbox, pause.container) = (true, None);
        let containers = vec![
            container("web", &id("aaaa1111"), None),
            container("aaaa", &id("bbbb2222"), None),
            pod("prod", "web-0", "app", &id("cccc3333")),
            pod("prod", "web-0", "proxy", &id("cccc4444")),
            pod("test", "web-0", "app", &id("dddd5555")),
            container("db", &id("db777777"), None),
            container("web-0", "web-0", None),
            user,
            process,
            pause,
        ];
        let listing = Listing { containers, notes: Vec::new() };
        let ids = |text: &str| {
            let found = Selector::parse(text).unwrap().matches(&listing);
            found.iter().map(|c| c.id.trim_end_matches('0').to_owned()).collect::<Vec<_>>()
        };
        for (text, wanted) in [
            ("web", &["aaaa1111"][..]),
            ("aaaa", &["aaaa1111", "bbbb2222"]),
            ("name:aaaa", &["bbbb2222"]),
            ("id:aaaa", &["aaaa1111"]),
            ("id:a", &["aaaa1111"]),
            ("aaaa1", &["aaaa1111"]),
            ("AAAA1", &["aaaa1111"]),
            ("aaaa11110000", &["aaaa1111"]),
            ("aaa", &[]),
            ("db", &["db777777"]),
            ("web-0", &["cccc3333", "cccc4444", "dddd5555", "web-"]),
            ("name:web-0", &["web-"]),
            ("id:web-0", &["web-"]),
            ("id:web", &[]),
            ("prod/web-0", &["cccc3333", "cccc4444"]),
            ("web-0/proxy", &["cccc4444"]),
            ("prod/web-0/app", &["cccc3333"]),
            ("pod:test/web-0", &["dddd5555"]),
            ("app", &["cccc3333", "dddd5555"]),
            ("prod/web-0/app/x", &[]),
            ("prod/web-0/POD", &["ffff9999"]),
            ("pod:prod/web-0/POD", &["ffff9999"]),
            ("web-0/POD", &[]),
            ("test/web-0/POD", &[]),
            ("cccc", &["cccc3333", "cccc4444"]),
            ("nothing", &[]),
            // What a user says.
            ("eeee6666", &[]),
            ("eeee66660000", &[]),
            ("id:eeee6666", &[]),
            ("(web)", &[]),
        ] {
            assert_eq!(ids(text), wanted, "{text}");
        }
        for text in ["web@1000", "eeee@1000", "id:eeee66660000@1000", "name:web@1000"] {
            let found = Selector::parse(text).unwrap().matches(&listing);
            assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["web@1000"], "{text}");
        }
    }
}
