//! Names in columns as wide as the terminal, filled from top to bottom.

use super::listing::Listing;
use super::long::{number, pad};
use super::look::Look;

/// Spaces between columns.
const GAP: usize = 2;

/// The narrowest column: one letter and the gap.
const NARROWEST: usize = 1 + GAP;

/// Adds all names in columns; `inodes` is the width of the inodes in front of them, 0 for none.
pub fn print(to: &mut Vec<u8>, listing: &Listing, look: Look, width: usize, inodes: usize) {
    let before = if inodes == 0 { 0 } else { inodes + 1 };
    let cells: Vec<usize> = listing.items.iter().map(|item| before + look.width(listing, item)).collect();
    let columns = widths(&cells, width);
    let rows = cells.len().div_ceil(columns.len().max(1));
    for row in 0..rows {
        let mut behind = 0;
        for (column, column_width) in columns.iter().enumerate() {
            let at = column * rows + row;
            let (Some(item), Some(cell)) = (listing.items.get(at), cells.get(at)) else { break };
            pad(to, behind);
            if inodes > 0 {
                number(to, listing.facts(item).map_or(0, |facts| facts.stat.inode), inodes);
                to.push(b' ');
            }
            look.name(to, listing, item, false);
            behind = column_width.saturating_sub(*cell);
        }
        to.push(b'\n');
    }
}

/// The widths of as many columns as fit, gaps included.
fn widths(cells: &[usize], width: usize) -> Vec<usize> {
    let most = (width / NARROWEST).clamp(1, cells.len().max(1));
    (2..=most).rev().find_map(|count| fits(cells, width, count)).unwrap_or_else(|| vec![0])
}

/// The widths of `count` columns, where they fit.
fn fits(cells: &[usize], width: usize, count: usize) -> Option<Vec<usize>> {
    let rows = cells.len().div_ceil(count);
    let last = count - 1;
    let mut widths = Vec::with_capacity(count);
    // A column that stays empty counts as the narrowest: as coreutils' ls reckons.
    let mut sum = count.saturating_sub(cells.chunks(rows.max(1)).len()) * NARROWEST;
    for (column, part) in cells.chunks(rows.max(1)).enumerate() {
        let gap = if column == last { 0 } else { GAP };
        let widest = part.iter().max().copied().unwrap_or(0) + gap;
        let widest = widest.max(NARROWEST);
        sum += widest;
        if sum >= width {
            return None;
        }
        widths.push(widest);
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
            assert_eq!(widths(cells, width), columns, "{cells:?} {width}");
        }
    }
}
