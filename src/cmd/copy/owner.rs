//! Whom copies are given to: `USER[:GROUP]`, as chown(1) takes it.

use crate::cmd::{Fault, Result};
use crate::sys::passwd::Users;

/// Names or numbers, as they were typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    user: Option<String>,
    group: Option<String>,
}

impl Owner {
    /// Takes them apart.
    ///
    /// # Errors
    /// Where there is neither.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let part = |part: &str| (!part.is_empty()).then(|| part.to_owned());
        match (part(user), part(group)) {
            (None, None) => Err("names neither a user nor a group".to_owned()),
            (user, group) => Ok(Self { user, group }),
        }
    }

    /// Their ids: of names first, as with chown(1).
    ///
    /// # Errors
    /// Where there is no such name; without `users`, where it is no number.
    pub fn ids(&self, users: Option<&Users>) -> Result<(Option<u32>, Option<u32>)> {
        let id = |word: &Option<String>, what: &str, named: &dyn Fn(&Users, &str) -> Option<u32>| {
            let Some(word) = word else { return Ok(None) };
            let number = || word.parse().ok().filter(|id| *id != u32::MAX);
            let known = users.and_then(|users| named(users, word));
            known.or_else(number).map(Some).ok_or_else(|| match users {
                Some(_) => Fault::usage(format!("the container has no {what} {word}")),
                None => Fault::usage(format!("on the node a {what} is a number, not {word}")).with_hint("id"),
            })
        };
        let user = id(&self.user, "user", &|users, name| users.user_named(name).map(|user| user.uid))?;
        let group = id(&self.group, "group", &|users, name| users.group_named(name).map(|group| group.gid))?;
        Ok((user, group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_as_chown_takes_them() {
        let users = Users::parse(b"web:x:7:8::/:/x\n9:x:10:8::/:/x\n", b"logs:x:20:\n");
        for (text, inside, on_the_node) in [
            ("web", Some((Some(7), None)), None),
            ("web:logs", Some((Some(7), Some(20))), None),
            (":logs", Some((None, Some(20))), None),
            ("9:21", Some((Some(10), Some(21))), Some((Some(9), Some(21)))),
            ("5:", Some((Some(5), None)), Some((Some(5), None))),
            ("none", None, None),
            ("web:none", None, None),
            ("4294967295", None, None),
            ("-1", None, None),
        ] {
            let owner = Owner::parse(text).unwrap();
            assert_eq!(owner.ids(Some(&users)).ok(), inside, "{text}");
            assert_eq!(owner.ids(None).ok(), on_the_node, "{text}");
        }
        assert!(Owner::parse("").is_err() && Owner::parse(":").is_err());
    }
}
