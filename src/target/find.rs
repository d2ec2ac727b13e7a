//! From a name to one container.

use super::Target;
use super::container::{Container, Listing};
use super::filter::Filter;
use super::ports;
use super::selector::Selector;
use crate::out::Fault;
use crate::out::name::escape;

/// More candidates are only counted.
const CANDIDATES: usize = 10;

/// The containers that are meant: named by `selector`, if there is one, and let through by the filter. Sandboxes and
/// containers in virtual machines are not among them, unless they are named by their id.
pub fn all<'a>(listing: &'a Listing, selector: Option<&Selector>, filter: &Filter) -> Vec<&'a Container> {
    let named: Vec<&Container> = match selector {
        Some(selector) => selector.matches(listing),
        None => listing.containers.iter().filter(|container| !container.is_sandbox).collect(),
    };
    named.into_iter().filter(|container| filter.takes(container, None)).collect()
}

/// The one container that is meant, its main process opened.
///
/// # Errors
/// 125 where there is none; 2 where there are several, with the candidates.
pub fn one(
    listing: &Listing,
    selector: Option<&Selector>,
    filter: &Filter,
    typed: &str,
) -> Result<Target, Fault> {
    match all(listing, selector, filter)[..] {
        [] => match all(listing, selector, &Filter::default())[..] {
            [first, ..] if selector.is_some() && filter.port.is_none() => Err(filtered_out(first, typed)),
            _ => Err(nothing(listing, filter, typed)),
        },
        [container] => open(container),
        [..] => Err(ambiguous(&all(listing, selector, filter), typed)),
    }
}

/// Opens a container's main process, if that is still the one that was listed.
///
/// # Errors
/// As [`Target::open`]; what runs in a virtual machine is told.
pub fn open(container: &Container) -> Result<Target, Fault> {
    if let Some(machine) = &container.machine {
        return Err(Fault::text(
            "enter",
            container.full_name(),
            format!("it runs in a virtual machine ({machine}): its processes are not the node's"),
        )
        .with_hint(match container.pid {
            0 => "use the runtime's own exec".to_owned(),
            pid => format!("--pid {pid} is the machine itself; use the runtime's own exec"),
        })
        .with_status(125));
    }
    let mut target = Target::open(container.pid)?;
    // Where it was found was looked at once more after its start time.
    if target.facts.start_time != container.start {
        let cause = "it ended while it was looked for";
        return Err(Fault::text("find container", container.full_name(), cause).with_status(125));
    }
    target.title = Some(container.full_name());
    target.container = Some(container.id.clone()).filter(|id| !id.is_empty());
    target.runtime = Some(container.runtime);
    Ok(target)
}

/// There is one of this name, and a filter does not match it.
fn filtered_out(container: &Container, typed: &str) -> Fault {
    let runtime = container.runtime.name();
    Fault::text("find container", typed, "the filters do not match it")
        .with_hint(format!(
            "{} is in the list, with the runtime {runtime}: nsdbg --list",
            container.full_name()
        ))
        .with_status(125)
}

fn nothing(listing: &Listing, filter: &Filter, typed: &str) -> Fault {
    if let Some(port) = filter.port {
        let fault = Fault::text("find container", typed, "no container listens there").with_status(125);
        return match ports::node_holder(port) {
            Some(pid) => fault.with_hint(format!("a process of the node does: nsdbg --pid {pid}")),
            None => fault.with_hint("nsdbg --list shows their ports"),
        };
    }
    let fault =
        Fault::text("find container", typed, "no container has this name or id prefix").with_status(125);
    let siblings = siblings(listing, typed);
    if !siblings.is_empty() {
        return fault.with_hint(format!("that pod has {}", siblings.join(", ")));
    }
    let is_near = |container: &&Container| {
        let name = container.full_name();
        !typed.is_empty()
            && (name.contains(typed) || typed.contains(name.as_str()) || container.id.starts_with(typed))
    };
    let near = listing.containers.iter().filter(|container| !container.is_sandbox).filter(is_near);
    let mut near: Vec<String> = near.take(CANDIDATES).map(typeable).collect();
    near.dedup();
    if near.is_empty() {
        fault.with_hint("nsdbg --list shows them")
    } else {
        fault.with_hint(format!("did you mean {}?", near.join(", ")))
    }
}

/// Its name; its process where it has none.
fn typeable(container: &Container) -> String {
    if container.is_named {
        container.full_name()
    } else {
        format!("pid:{} {}", container.pid, container.name)
    }
}

/// The containers of the pod in `[NAMESPACE/]POD/CONTAINER`.
fn siblings(listing: &Listing, typed: &str) -> Vec<String> {
    let Some((pod, _)) = typed.strip_prefix("pod:").unwrap_or(typed).rsplit_once('/') else {
        return Vec::new();
    };
    let is_pods = |container: &&Container| {
        container
            .pod
            .as_ref()
            .is_some_and(|of| of.name == pod || format!("{}/{}", of.namespace, of.name) == pod)
    };
    let of_pod = listing.containers.iter().filter(|container| !container.is_sandbox).filter(is_pods);
    of_pod.map(Container::full_name).take(CANDIDATES).collect()
}

/// The candidates, each with what would name it alone.
fn ambiguous(found: &[&Container], typed: &str) -> Fault {
    let mut text = format!("{} is ambiguous: {} containers match:", escape(typed.as_bytes()), found.len());
    for container in found.iter().take(CANDIDATES) {
        let id = if container.id.is_empty() {
            format!("pid:{}", container.pid)
        } else {
            format!("id:{}", container.short_id())
        };
        text.push_str(&format!(
            "\n  {:<32} {:<10} {id}",
            escape(container.full_name().as_bytes()),
            container.runtime.name()
        ));
    }
    if found.len() > CANDIDATES {
        text.push_str(&format!("\n  and {} more", found.len() - CANDIDATES));
    }
    Fault::usage(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::container::tests::{container, pod};

    #[test]
    fn a_pid_that_means_another_process_by_now_is_refused() {
        // This process, as if it had been started at another time.
        let pid = std::process::id() as i32;
        let mut listed = container("web", "aaaa1111", None);
        (listed.pid, listed.start) = (pid, 1);
        let fault = open(&listed).unwrap_err();
        assert!(
            fault.status == 125 && fault.to_string().contains("ended while it was looked for"),
            "{fault}"
        );
        listed.start = Target::open(pid).unwrap().facts.start_time;
        assert_eq!(open(&listed).unwrap().title.as_deref(), Some("web"));
        listed.machine = Some("Kata".into());
        assert!(open(&listed).unwrap_err().to_string().contains("virtual machine (Kata)"));
    }

    #[test]
    fn several_are_named_and_none_is_told() {
        let listing = Listing {
            containers: vec![
                container("web", "aaaa1111", None),
                container("web", "bbbb2222", None),
                pod("prod", "api", "app", "cc"),
            ],
            notes: Vec::new(),
        };
        let fault = |text: &str| {
            let selector = Selector::parse(text).unwrap();
            one(&listing, Some(&selector), &Filter::default(), text).unwrap_err()
        };
        let several = fault("web");
        assert_eq!(several.status, 2);
        let text = several.to_string();
        assert!(
            text.contains("2 containers match")
                && text.contains("id:aaaa1111")
                && text.contains("id:bbbb2222"),
            "{text}"
        );
        let selector = Selector::parse("api").unwrap();
        let filter = Filter { runtime: Some("docker".into()), ..Filter::default() };
        let other = one(&listing, Some(&selector), &filter, "api").unwrap_err().to_string();
        assert!(other.contains("the filters do not match it (prod/api/app is in the list"), "{other}");
        let none = fault("ap");
        assert!(none.status == 125 && none.to_string().contains("did you mean prod/api/app?"), "{none}");
        assert!(fault("zzz").to_string().contains("--list"));
        for typed in ["prod/api/nope", "api/nope", "pod:prod/api/nope"] {
            assert!(fault(typed).to_string().contains("that pod has prod/api/app"), "{typed}");
        }
        assert!(fault("prod/other/nope").to_string().contains("--list"));
    }
}
