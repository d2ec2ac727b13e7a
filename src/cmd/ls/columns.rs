//! Names that share lines: in columns as wide as the line, or with commas between them.

use super::long::pad;

/// Spaces between columns.
const GAP: usize = 2;

/// The narrowest column: one letter and the gap.
const NARROWEST: usize = 1 + GAP;

/// How the names stand in columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// One below the other.
    Down,
    /// One beside the other.
    Across,
}

/// Adds all files in columns: `cell` adds one, `cells` are the columns that they take, `width` that of a line.
pub fn print(
    to: &mut Vec<u8>,
    (cells, width): (&[usize], usize),
    direction: Direction,
    mut cell: impl FnMut(&mut Vec<u8>, usize),
) {
    let columns = widths(cells, width, direction);
    let rows = cells.len().div_ceil(columns.len().max(1));
    for row in 0..rows {
        let mut behind = 0;
        for (column, column_width) in columns.iter().enumerate() {
            let at = match direction {
                Direction::Down => column * rows + row,
                Direction::Across => row * columns.len() + column,
            };
            let Some(taken) = cells.get(at) else { break };
            pad(to, behind);
            cell(to, at);
            behind = column_width.saturating_sub(*taken);
        }
        to.push(b'\n');
    }
}

/// Adds all files with `separator` and a space, or the line's end, between them; `width` 0 makes one line of all.
pub fn print_separated(
    to: &mut Vec<u8>,
    (cells, width): (&[usize], usize),
    separator: Option<u8>,
    mut cell: impl FnMut(&mut Vec<u8>, usize),
) {
    let mut taken = 0;
    for (at, length) in cells.iter().enumerate() {
        if at > 0 {
            let fits = width == 0 || taken + length + GAP < width;
            to.extend(separator.or(Some(b' ')));
            to.push(if fits { b' ' } else { b'\n' });
            taken = if fits { taken + GAP } else { 0 };
        }
        cell(to, at);
        taken += length;
    }
    if !cells.is_empty() {
        to.push(b'\n');
    }
}

/// The widths of as many columns as fit, gaps included.
fn widths(cells: &[usize], width: usize, direction: Direction) -> Vec<usize> {
    let most = width.div_ceil(NARROWEST).clamp(1, cells.len().max(1));
    (2..=most).rev().find_map(|count| fits(cells, width, count, direction)).unwrap_or_else(|| vec![0])
}

/// The widths of `count` columns, where they fit.
fn fits(cells: &[usize], width: usize, count: usize, direction: Direction) -> Option<Vec<usize>> {
    let rows = cells.len().div_ceil(count).max(1);
    let mut widths = vec![NARROWEST; count];
    // A column that stays empty counts as the narrowest: as coreutils' ls reckons.
    let mut sum = count * NARROWEST;
    for (at, cell) in cells.iter().enumerate() {
        let column = match direction {
            Direction::Down => at / rows,
            Direction::Across => at % count,
        };
        let wanted = cell + if column + 1 == count { 0 } else { GAP };
        let Some(widest) = widths.get_mut(column).filter(|widest| **widest < wanted) else { continue };
        sum += wanted - *widest;
        *widest = wanted;
        if sum >= width {
            return None;
        }
    }
    if sum >= width {
        return None;
    }
    if direction == Direction::Down {
        widths.truncate(cells.len().div_ceil(rows));
    }
    Some(widths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_columns_as_stay_below_the_width() {
        for (cells, width, columns) in [
            (&[1, 1, 1][..], 80, &[3, 3, 3][..]),
            (&[3, 3, 3], 13, &[5, 3][..]),
            (&[3, 3, 3], 14, &[5, 5, 3]),
            (&[90, 1], 80, &[0]),
            (&[], 80, &[0]),
        ] {
            assert_eq!(widths(cells, width, Direction::Down), columns, "{cells:?} {width}");
        }
        assert_eq!(widths(&[9, 1, 1, 1], 15, Direction::Across), [11, 3]);
    }
}
