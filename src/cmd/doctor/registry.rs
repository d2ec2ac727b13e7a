//! Every check, one line each. Their ids are stable.

use super::check::{Check, Group};
use super::{image, network, process, resources, security};

/// All checks, by group.
pub static CHECKS: &[&Check] = &[
    &image::ca_bundle::CHECK,
    &image::tmp_dir::CHECK,
    &image::home_dir::CHECK,
    &image::passwd_entry::CHECK,
    &image::group_entry::CHECK,
    &image::timezone_data::CHECK,
    &image::elf_interpreter::CHECK,
    &image::shared_libraries::CHECK,
    &image::script_interpreter::CHECK,
    &process::state::CHECK,
    &process::pid1_signals::CHECK,
    &process::zombies::CHECK,
    &process::fd_limit::CHECK,
    &process::nproc_limit::CHECK,
    &process::deleted_exe::CHECK,
    &resources::memory_limit::CHECK,
    &resources::oom_kills::CHECK,
    &resources::cpu_throttling::CHECK,
    &resources::pids_limit::CHECK,
    &resources::disk_space::CHECK,
    &resources::inodes::CHECK,
    &resources::deleted_open_files::CHECK,
    &resources::read_only_paths::CHECK,
    &resources::shm_size::CHECK,
    &network::listeners::CHECK,
    &network::resolv_conf::CHECK,
    &network::dns::CHECK,
    &network::hosts_file::CHECK,
    &network::default_route::CHECK,
    &network::interfaces::CHECK,
    &network::close_wait::CHECK,
    &network::unanswered_peers::CHECK,
    &network::local_tls::CHECK,
    &security::root_user::CHECK,
    &security::capabilities::CHECK,
    &security::privileged::CHECK,
    &security::host_namespaces::CHECK,
    &security::host_mounts::CHECK,
    &security::setuid_files::CHECK,
];

/// The groups, as they are shown.
pub const GROUPS: [Group; 5] =
    [Group::Image, Group::Process, Group::Resources, Group::Network, Group::Security];

/// The check of this id.
pub fn find(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id).copied()
}

/// Whether a word is a check or a group.
pub fn is_known(word: &str) -> bool {
    find(word).is_some() || GROUPS.iter().any(|group| group.name() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_questions_are_sentences() {
        for (at, check) in CHECKS.iter().enumerate() {
            let plain = check.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(plain, "{}", check.id);
            assert!(check.question.ends_with('?') && check.question.len() < 90, "{}", check.question);
            assert!(CHECKS[..at].iter().all(|other| other.id != check.id), "{} is there twice", check.id);
            assert!(GROUPS.iter().all(|group| group.name() != check.id), "{} is a group, too", check.id);
        }
        let places: Vec<usize> = CHECKS
            .iter()
            .map(|check| GROUPS.iter().position(|group| *group == check.group).unwrap())
            .collect();
        assert!(places.is_sorted(), "the checks of a group stand together");
    }
}
