//! How messages between our own processes are written: little-endian numbers and length-prefixed bytes.

/// Builds a message.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a number.
    pub fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Appends bytes.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Appends a list of byte strings.
    pub fn list<T: AsRef<[u8]>>(&mut self, values: &[T]) -> &mut Self {
        self.number(values.len() as u64);
        for value in values {
            self.bytes(value.as_ref());
        }
        self
    }

    /// The message.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Takes a message apart. Every method answers `None` at a message that is too short or wrong.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads this message.
    pub fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    /// The next number, which must fit.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    /// The next yes or no.
    pub fn flag(&mut self) -> Option<bool> {
        Some(self.number()? != 0)
    }

    /// The next bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length: usize = self.small()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    /// The next list of byte strings.
    pub fn list(&mut self) -> Option<Vec<Vec<u8>>> {
        let count: usize = self.small()?;
        // Each takes eight bytes at least: a wrong count cannot make us allocate.
        if count > self.0.len() / 8 {
            return None;
        }
        (0..count).map(|_| self.bytes().map(<[u8]>::to_vec)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_cut_messages_are_refused() {
        let message = Writer::new().number(7).list(&["a", ""]).bytes(b"xyz").finish();
        for length in 0..message.len() {
            let mut reader = Reader::new(&message[..length]);
            let all = (|| Some((reader.number()?, reader.list()?, reader.bytes()?.to_vec())))();
            assert_eq!(all, None, "{length}");
        }
        let mut reader = Reader::new(&message);
        assert_eq!(reader.number(), Some(7));
        assert_eq!(reader.list(), Some(vec![b"a".to_vec(), Vec::new()]));
        assert_eq!(reader.bytes(), Some(&b"xyz"[..]));
    }
}
