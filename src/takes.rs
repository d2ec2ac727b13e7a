//! What an argument takes: a command declares it with the argument, and completion offers it.
//!
//! `#[arg(add = Takes::Pid)]` is such a declaration. Values that clap knows itself, as of an enum, need none.

use crate::sys::signal;

/// What an argument takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// Nothing that could be offered: a number, a pattern, a host.
    Nothing,
    /// A path of the container, or `@host:` and one of the node.
    Path,
    /// A directory of the container.
    Directory,
    /// A path of the node.
    NodePath,
    /// A process of the container, by its PID.
    Pid,
    /// One or all of a name, by the kernel's name for them.
    ProcessName,
    /// A signal, by its name.
    Signal,
    /// A user of the container.
    User,
    /// A group of the container.
    Group,
    /// An interface of the container's network.
    Interface,
    /// A variable of the session.
    Variable,
    /// The same, with `=` and a value.
    Assignment,
    /// A container that nsdbg can look into.
    Target,
    /// A pod on the node.
    Pod,
    /// A Kubernetes namespace that has pods on the node.
    KubernetesNamespace,
    /// A command of the prompt.
    Command,
    /// A field of the rows that come in.
    RowField,
    /// One of these words.
    Words(fn() -> Vec<String>),
    /// Several, with commas between them.
    List(&'static Self),
    /// One of these.
    Any(&'static [Self]),
}

impl clap::builder::ArgExt for Takes {}

impl Takes {
    /// The words that are always the same, whatever there is on the node.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Words(all) => all(),
            Self::Signal => signal::standard().map(|(_, name)| name.to_owned()).collect(),
            _ => Vec::new(),
        }
    }
}

/// The words of a list, for [`Takes::Words`].
pub fn owned<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}
