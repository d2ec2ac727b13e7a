//! Variables of a word.

use super::glob::{Element, Pattern};
use super::parse::{Piece, Word};

/// Where variables come from.
pub trait Variables {
    /// The value of a variable, if it is set.
    fn get(&self, name: &[u8]) -> Option<Vec<u8>>;
    /// The status of the last pipeline.
    fn status(&self) -> u8;
}

/// A word whose variables have their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expanded {
    /// Bytes that mean themselves.
    Word(Vec<u8>),
    /// A glob, to be expanded where the files are.
    Pattern(Pattern),
}

/// Expands a word's variables. Their values are never split and hold no globs. An unquoted word that is empty then is
/// no word.
pub fn expand(word: &Word, variables: &dyn Variables) -> Option<Expanded> {
    let mut elements = Vec::new();
    let mut is_glob = false;
    let literal = |bytes: &[u8], elements: &mut Vec<Element>| {
        elements.extend(bytes.iter().map(|byte| Element::Byte(*byte)));
    };
    for piece in &word.pieces {
        match piece {
            Piece::Literal(bytes) => literal(bytes, &mut elements),
            Piece::Variable(name) => literal(&variables.get(name).unwrap_or_default(), &mut elements),
            Piece::Status => literal(variables.status().to_string().as_bytes(), &mut elements),
            Piece::AnyText => elements.push(Element::AnyText),
            Piece::AnyByte => elements.push(Element::AnyByte),
            Piece::Class(ranges, negated) => elements.push(Element::Class(ranges.clone(), *negated)),
        }
        is_glob |= matches!(piece, Piece::AnyText | Piece::AnyByte | Piece::Class(..));
    }
    if is_glob {
        return Some(Expanded::Pattern(Pattern::new(elements)));
    }
    if elements.is_empty() && !word.quoted {
        return None;
    }
    let bytes =
        elements.into_iter().filter_map(|e| if let Element::Byte(byte) = e { Some(byte) } else { None });
    Some(Expanded::Word(bytes.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::parse;

    struct Fixed;

    impl Variables for Fixed {
        fn get(&self, name: &[u8]) -> Option<Vec<u8>> {
            (name == b"A").then(|| b"x * y".to_vec())
        }

        fn status(&self) -> u8 {
            7
        }
    }

    fn expanded(line: &str) -> Vec<Option<Expanded>> {
        let line = parse(line.as_bytes()).unwrap();
        line.pipelines[0].1.stages[0].words.iter().map(|word| expand(word, &Fixed)).collect()
    }

    #[test]
    fn values_are_neither_split_nor_globbed() {
        let word = |text: &str| Some(Expanded::Word(text.into()));
        assert_eq!(
            expanded("$A \"$A\" $? a$NO $NO \"$NO\" '$A'"),
            [word("x * y"), word("x * y"), word("7"), word("a"), None, word(""), word("$A")]
        );
        assert!(matches!(expanded("$A*")[0], Some(Expanded::Pattern(_))));
    }
}
