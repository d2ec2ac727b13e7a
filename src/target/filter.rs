//! Which of the node's containers are wanted: the filters of the list, and of `--all`.

use std::os::fd::AsFd;

use clap::builder::PossibleValuesParser;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::container::Container;
use super::runtime::Runtime;
use super::scan::{self, CMDLINE_LIMIT};
use crate::sys::proc::Procfs;
use crate::takes::Takes;

/// What narrows a list of containers. All that is given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Only containers of this runtime
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Runtime::ALL.map(Runtime::name)))]
    pub runtime: Option<String>,
    /// Only containers of this pod
    #[arg(long, value_name = "NAME", add = Takes::Pod)]
    pub pod: Option<String>,
    /// Only containers of pods in this Kubernetes namespace
    #[arg(long, value_name = "NAME", add = Takes::KubernetesNamespace)]
    pub namespace: Option<String>,
    /// Only containers that listen on this port
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Only containers with a process whose command line holds this text
    #[arg(long = "match", value_name = "TEXT", add = Takes::Nothing)]
    pub matching: Option<String>,
}

impl Filter {
    /// Whether nothing is narrowed.
    pub fn is_empty(&self) -> bool {
        self.runtime.is_none()
            && self.pod.is_none()
            && self.namespace.is_none()
            && self.port.is_none()
            && self.matching.is_none()
    }

    /// Whether a container passes, and its name, pod, id or image holds `text`, if there is one.
    pub fn takes(&self, container: &Container, text: Option<&str>) -> bool {
        let pod = container.pod.as_ref();
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| value == Some(wanted.as_str()))
        };
        is(&self.runtime, Some(container.runtime.name()))
            && is(&self.pod, pod.map(|pod| pod.name.as_str()))
            && is(&self.namespace, pod.map(|pod| pod.namespace.as_str()))
            && self.port.is_none_or(|port| container.ports.iter().any(|open| open.number == port))
            && text.is_none_or(|text| holds(container, text))
            && self.matching.as_ref().is_none_or(|text| runs(container, text))
    }
}

fn holds(container: &Container, text: &str) -> bool {
    let pod = container.pod.as_ref();
    container.name.contains(text)
        || container.full_name().contains(text)
        || container.id.starts_with(text)
        || container.image.as_ref().is_some_and(|image| image.contains(text))
        || pod.is_some_and(|pod| pod.name.contains(text))
}

/// Whether a process of it has the text in its command line, as it is typed.
fn runs(container: &Container, text: &str) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let Ok(root) = open("/proc", flags, Mode::empty()) else { return false };
    let root = root.as_fd();
    let mut reader = Procfs::new(&root, None).reader();
    container.processes.iter().any(|pid| {
        let cmdline = reader.read_all(*pid, "cmdline", CMDLINE_LIMIT).unwrap_or_default();
        scan::arguments(&cmdline).join(" ").contains(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::container::tests::{container, pod};
    use crate::target::ports::Port;

    #[test]
    fn all_that_is_given_must_hold() {
        let mut web = pod("prod", "web-0", "app", "cccc3333");
        web.ports = vec![Port { number: 8080, is_udp: false }];
        let plain = container("db", "aaaa1111", Some("postgres:16"));
        let filter = |change: &dyn Fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            [filter.takes(&web, None), filter.takes(&plain, None)]
        };
        assert_eq!(filter(&|_| {}), [true, true]);
        assert_eq!(filter(&|f| f.pod = Some("web-0".into())), [true, false]);
        assert_eq!(filter(&|f| f.namespace = Some("prod".into())), [true, false]);
        assert_eq!(filter(&|f| f.runtime = Some("docker".into())), [false, true]);
        assert_eq!(filter(&|f| f.port = Some(8080)), [true, false]);
        assert_eq!(
            filter(&|f| {
                f.port = Some(8080);
                f.namespace = Some("test".into());
            }),
            [false, false]
        );
        assert_eq!(filter(&|f| f.matching = Some("nothing that runs".into())), [false, false]);
        let by_text = |text| [&web, &plain].map(|c| Filter::default().takes(c, Some(text)));
        assert_eq!(by_text("prod/web"), [true, false]);
        assert_eq!(by_text("postgres"), [false, true]);
        assert_eq!(by_text("aaaa"), [false, true]);
        assert_eq!(by_text("x"), [false, false]);
    }
}
