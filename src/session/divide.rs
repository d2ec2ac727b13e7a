//! Commands that are two processes with a pipe between them: one in the container, one outside.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::copy;
use super::job::Argument;
use super::spawn::Prepared;
use crate::cmd::{self, NodeFiles};
use crate::out::Fault;

/// The processes that a command is, in the order of the pipe between them: itself, or it and its partner.
///
/// # Errors
/// Where what was typed can't be divided, and where several containers would write one file of the node.
pub fn divide(command: Prepared, is_one_of_many: bool) -> Result<Vec<Prepared>, Fault> {
    match cmd::partner(command.entry) {
        None => Ok(vec![command]),
        Some(partner) if is_one_of_many && partner.needs.files == NodeFiles::Write => Err(Fault::usage(
            "with --all every container would write the same files: copy from one container at a time",
        )),
        Some(partner) if partner.needs.files != NodeFiles::None => copy::divide(command, partner),
        // Both get all that was typed. Help, the list and a word about wrong ones need one alone.
        Some(partner) => {
            if command.arguments.iter().any(|argument| matches!(argument, Argument::Pattern(_))) {
                return Err(Fault::usage("takes no globs: put it in quotes"));
            }
            let words = words(&command);
            let is_list = words.iter().any(|word| word == "--list" || word == "-l");
            if is_list || !command.entry.parse(words).is_ok_and(|invocation| !invocation.help) {
                return Ok(vec![command]);
            }
            let own = Prepared::new(command.entry, command.arguments.clone(), Vec::new());
            let outside = Prepared::new(partner, command.arguments, command.redirects);
            Ok(vec![
                Prepared { is_partnered: true, feeds_partner: true, ..own },
                Prepared { is_partnered: true, ..outside },
            ])
        }
    }
}

/// What was typed, as far as it is known before globs are expanded.
pub fn words(command: &Prepared) -> Vec<OsString> {
    let word = |argument: &Argument| match argument {
        Argument::Word(word) => OsString::from_vec(word.clone()),
        Argument::Pattern(_) => OsString::from("*"),
    };
    command.arguments.iter().map(word).collect()
}
