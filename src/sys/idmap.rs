//! User and group ids of a user namespace: `/proc/PID/uid_map`, user_namespaces(7).

/// How a user namespace's ids lie in those of the reader of its map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdMap(Vec<Range>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

/// The kernel takes no map of more lines.
const MAX_LINES: usize = 340;

impl IdMap {
    /// Parses `uid_map` or `gid_map`: lines of inside, outside, count. Lines that are none are passed over.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let range = |line: &str| {
            let mut words = line.split_ascii_whitespace().map(str::parse);
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count)), None) => {
                    Some(Range { inside, outside, count })
                }
                _ => None,
            }
        };
        Self(text.lines().take(MAX_LINES).filter_map(range).collect())
    }

    /// The id inside for one outside. An id that the namespace does not map, and every id where no map could be read,
    /// stays as the host counts it.
    pub fn inside(&self, outside: u32) -> u32 {
        self.mapped(outside).unwrap_or(outside)
    }

    /// The id inside for one outside, where there is one.
    pub fn mapped(&self, outside: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let at = outside.checked_sub(range.outside)?;
            if at < range.count { range.inside.checked_add(at) } else { None }
        })
    }

    /// The id outside for one inside, where there is one.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let at = inside.checked_sub(range.inside)?;
            if at < range.count { range.outside.checked_add(at) } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ids_become_the_containers() {
        let map =
            IdMap::parse(b"         0     100000      65536\n     70000          5          1\nbad\n1 2\n");
        for (outside, inside) in
            [(100_000, Some(0)), (165_535, Some(65_535)), (165_536, None), (5, Some(70_000))]
        {
            assert_eq!(map.mapped(outside), inside);
        }
        assert_eq!(
            (map.outside(0), map.outside(70_000), map.outside(65_536)),
            (Some(100_000), Some(5), None)
        );
        assert_eq!(map.inside(7), 7);
        assert_eq!(IdMap::parse(b"0 0 4294967295").mapped(4_294_967_294), Some(4_294_967_294));
        assert_eq!(IdMap::parse(b"4294967295 0 9").mapped(3), None);
    }
}
