//! The line grammar of the prompt: words, quotes, variables, globs, pipes, redirections, lists. Pure: it reads no file
//! and knows no command.
//!
//! Taken: `'…'`, `"…"`, `$'\xHH'`, `\`, `$NAME`, `${NAME}`, `$?`, globs (`*`, `?`, `[…]`), `|`, `>`, `>>`, `<`, `2>`,
//! `2>>`, `2>&1`, `;`, newlines, `&&`, `||`, `#`. Variables are not split into words and hold no globs. What else a shell would
//! take is an error that names the column.

mod cursor;
mod expand;
mod glob;
mod lines;
mod parse;

pub use cursor::{Cursor, word_at_cursor};
pub use expand::{Expanded, Variables, expand};
pub use glob::{Directory, Pattern, glob};
pub use lines::lines;
pub use parse::{Joint, Piece, Pipeline, Redirect, Simple, Word, parse};
