//! `/proc/PID/status`, proc_pid_status(5): fields by name.

/// The file as it was read.
///
/// By hand: procfs-core's status wants every one of its 50 lines to read as it expects.
#[derive(Debug, Clone, Default)]
pub struct Status(Vec<u8>);

impl Status {
    /// Takes the file.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The text of a field. The name of the process is the first line, its newlines escaped by the kernel, so that no
    /// line below is forged.
    pub fn field(&self, name: &str) -> Option<&str> {
        let line =
            self.0.split(|b| *b == b'\n').skip(1).find_map(|line| {
                line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":"))
            })?;
        std::str::from_utf8(line).ok().map(str::trim)
    }

    /// A mask in hexadecimal digits.
    pub fn mask(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.field(name)?, 16).ok()
    }

    /// Decimal numbers.
    pub fn numbers(&self, name: &str) -> Vec<u32> {
        let text = self.field(name).unwrap_or_default();
        text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    /// An amount of memory in bytes: the kernel writes `N kB`, by which it means KiB.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        let number: u64 = self.field(name)?.strip_suffix("kB")?.trim().parse().ok()?;
        number.checked_mul(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_names_forge_none() {
        let file =
            b"Name:\tx\\nSigCgt:\t1\nUid:\t1\t2\t3\t4\nGroups:\t7 8 \nVmRSS:\t     12 kB\nSigCgt:\t4001\nX\n";
        let status = Status::new(file.to_vec());
        assert_eq!(status.mask("SigCgt"), Some(0x4001));
        assert_eq!((status.numbers("Uid"), status.numbers("Groups")), (vec![1, 2, 3, 4], vec![7, 8]));
        assert_eq!((status.bytes("VmRSS"), status.bytes("VmSwap")), (Some(12 * 1024), None));
        assert_eq!((status.field("Name"), status.field("X")), (None, None));
        for end in 0..file.len() {
            let cut = Status::new(file[..end].to_vec());
            let _ = (cut.mask("SigCgt"), cut.numbers("Uid"), cut.bytes("VmRSS"));
        }
    }
}
