//! Draws a tree as psmisc does: a line goes on to the right along first children, equal branches are drawn once.

use std::collections::HashMap;
use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

use super::tree::{Node, Tree};
use crate::out::name::escape;
use crate::sys::passwd::Users;

/// Lines end here even where they may be long: a tree may be as deep as there are processes.
pub const LONGEST: usize = 8192;
/// Threads of one process that are drawn each.
const MOST_ALIKE: usize = 100_000;

/// What lines are drawn with.
pub struct Symbols {
    branch: &'static str,
    vertical: &'static str,
    last: &'static str,
    single: &'static str,
    first: &'static str,
}

/// In ASCII.
pub const ASCII: Symbols = Symbols { branch: "|-", vertical: "| ", last: "`-", single: "---", first: "-+-" };
/// In box drawings.
pub const UTF8: Symbols =
    Symbols { branch: "├─", vertical: "│ ", last: "└─", single: "───", first: "─┬─" };

/// How a tree is drawn.
pub struct Drawing<'a> {
    pub tree: &'a Tree,
    pub symbols: &'a Symbols,
    pub pids: bool,
    pub arguments: bool,
    /// Who has which id, where changes of user are shown.
    pub users: Option<&'a Users>,
    /// Equal branches are drawn once.
    pub merges: bool,
    /// Columns of a line.
    pub width: usize,
    /// A chain of ancestors, of whose children only the next is drawn.
    pub only: Option<&'a [usize]>,
}

/// One branch that is to be drawn.
struct Branch {
    at: usize,
    depth: usize,
    /// How often.
    count: usize,
    /// Whether it goes on the line of its parent.
    goes_on: bool,
    is_only: bool,
    is_last: bool,
    /// The parent's user.
    uid: u32,
    /// Brackets that its leaves close.
    closing: usize,
}

/// What equal branches have in common.
#[derive(PartialEq, Eq, Hash)]
struct Kind<'a> {
    comm: &'a [u8],
    /// 0 where users are not shown.
    uid: u32,
    /// How many threads of one sort.
    count: usize,
    /// The kinds of the children.
    below: Vec<u32>,
}

/// What is left of a line.
#[derive(Default)]
struct Line {
    text: String,
    columns: usize,
    is_full: bool,
}

impl Line {
    /// Adds text, up to the width; the last column then is a plus.
    fn add(&mut self, text: &str, width: usize) {
        for ch in text.chars() {
            if self.is_full {
                return;
            }
            let wide = ch.width().unwrap_or(0);
            if self.columns + wide > width {
                self.is_full = true;
                while self.columns + 1 > width {
                    let Some(gone) = self.text.pop() else { break };
                    self.columns -= gone.width().unwrap_or(0).min(self.columns);
                }
                self.text.push('+');
                self.columns += 1;
                return;
            }
            self.text.push(ch);
            self.columns += wide;
        }
    }

    fn end(&mut self, to: &mut dyn Write) -> io::Result<()> {
        self.text.push('\n');
        to.write_all(self.text.as_bytes())?;
        *self = Self::default();
        Ok(())
    }
}

impl Drawing<'_> {
    /// Draws the trees below these processes, `apart`: with an empty line between.
    pub fn draw(&self, roots: &[usize], apart: bool, to: &mut dyn Write) -> io::Result<()> {
        let kinds = if self.merges { self.kinds(roots) } else { Vec::new() };
        for (nth, root) in roots.iter().enumerate() {
            if apart && nth > 0 {
                to.write_all(b"\n")?;
            }
            self.tree(*root, &kinds, to)?;
        }
        Ok(())
    }

    fn tree(&self, root: usize, kinds: &[u32], to: &mut dyn Write) -> io::Result<()> {
        let symbols = self.symbols;
        let mut line = Line::default();
        // For each depth: where its children's branches are, and whether more of its siblings follow.
        let (mut columns, mut more): (Vec<usize>, Vec<bool>) = (Vec::new(), Vec::new());
        let mut stack = vec![Branch {
            at: root,
            depth: 0,
            count: 1,
            goes_on: true,
            is_only: true,
            is_last: true,
            uid: 0,
            closing: 0,
        }];
        while let Some(branch) = stack.pop() {
            let node = &self.tree.nodes[branch.at];
            columns.truncate(branch.depth);
            more.truncate(branch.depth);
            if !branch.goes_on {
                for (depth, column) in columns.iter().enumerate() {
                    // Nothing more is seen of a line that is full.
                    if line.is_full {
                        break;
                    }
                    line.add(&" ".repeat(column.min(&LONGEST) + 1), self.width);
                    let is_here = depth + 1 == branch.depth;
                    let symbol = match more.get(depth + 1) {
                        _ if is_here && branch.is_last => symbols.last,
                        _ if is_here => symbols.branch,
                        Some(true) => symbols.vertical,
                        _ => "  ",
                    };
                    line.add(symbol, self.width);
                }
            } else if branch.depth > 0 {
                line.add(if branch.is_only { symbols.single } else { symbols.first }, self.width);
            }
            let from = line.columns;
            if branch.count > 1 {
                line.add(&format!("{}*[", branch.count), self.width);
            }
            line.add(&self.label(node, branch.uid), self.width);
            let children = self.branches(&branch, kinds);
            if self.arguments {
                columns.push(1);
            } else {
                columns.push(line.columns - from.min(line.columns));
            }
            more.push(!branch.is_last);
            if self.arguments || children.is_empty() {
                let closing = if self.arguments { usize::from(branch.count > 1) } else { branch.closing };
                line.add(&"]".repeat(closing.min(LONGEST)), self.width);
                line.end(to)?;
            }
            stack.extend(children.into_iter().rev());
        }
        Ok(())
    }

    /// The children of a branch, equal ones together.
    fn branches(&self, parent: &Branch, kinds: &[u32]) -> Vec<Branch> {
        let uid = self.tree.nodes[parent.at].uid;
        let mut branches: Vec<Branch> = Vec::new();
        let mut seen: HashMap<u32, usize> = HashMap::new();
        for &at in self.tree.children(parent.at, parent.depth, self.only) {
            let node = &self.tree.nodes[at];
            // With arguments psmisc draws each process, and equal threads once.
            if self.merges && (!self.arguments || node.is_thread) {
                let kind = kinds.get(at).copied().unwrap_or_default();
                if let Some(before) = seen.get(&kind).and_then(|nth| branches.get_mut(*nth)) {
                    before.count += node.count;
                    continue;
                }
                seen.insert(kind, branches.len());
            }
            // Where threads were only counted and nothing is merged, each has a line.
            let (times, count) = if self.merges { (1, node.count) } else { (node.count.min(MOST_ALIKE), 1) };
            for _ in 0..times {
                branches.push(Branch {
                    at,
                    depth: parent.depth + 1,
                    count,
                    goes_on: false,
                    is_only: false,
                    is_last: false,
                    uid,
                    closing: 0,
                });
            }
        }
        let is_only = branches.len() == 1;
        for branch in &mut branches {
            branch.closing = parent.closing + usize::from(branch.count > 1);
            branch.is_only = is_only;
        }
        if let Some(first) = branches.first_mut() {
            first.goes_on = !self.arguments;
        }
        if let Some(last) = branches.last_mut() {
            last.is_last = true;
        }
        branches
    }

    /// For each process a number that equal branches share.
    fn kinds(&self, roots: &[usize]) -> Vec<u32> {
        let mut order = Vec::new();
        let mut stack = roots.to_vec();
        while let Some(at) = stack.pop() {
            order.push(at);
            stack.extend(&self.tree.nodes[at].children);
        }
        let mut kinds = vec![0; self.tree.nodes.len()];
        let mut known: HashMap<Kind, u32> = HashMap::new();
        for at in order.into_iter().rev() {
            let node = &self.tree.nodes[at];
            let below = node.children.iter().map(|child| kinds[*child]).collect();
            let uid = if self.users.is_some() { node.uid } else { 0 };
            let next = known.len() as u32 + 1;
            kinds[at] =
                *known.entry(Kind { comm: &node.comm, uid, count: node.count, below }).or_insert(next);
        }
        kinds
    }

    /// `name(pid,user)`, or with arguments `name,pid,user arguments`.
    fn label(&self, node: &Node, uid: u32) -> String {
        let mut facts = Vec::new();
        if self.pids {
            facts.push(node.pid.to_string());
        }
        if let Some(users) = self.users
            && node.uid != uid
        {
            facts.push(escape(users.user_name(node.uid).as_bytes()));
        }
        let mut label = node.name();
        if !self.arguments {
            if !facts.is_empty() {
                label.push_str(&format!("({})", facts.join(",")));
            }
            return label;
        }
        for fact in facts {
            label.push(',');
            label.push_str(&fact);
        }
        if !node.is_thread && node.arguments.is_empty() {
            label = format!("({label})");
        }
        for argument in node.args().skip(1) {
            label.push(' ');
            label.push_str(&escape(argument));
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    fn drawn(tree: &Tree, change: impl FnOnce(&mut Drawing)) -> String {
        let mut drawing = Drawing {
            tree,
            symbols: &ASCII,
            pids: false,
            arguments: false,
            users: None,
            merges: true,
            width: LONGEST,
            only: None,
        };
        change(&mut drawing);
        let mut out = Vec::new();
        drawing.draw(tree.roots(), false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const ALL: &[(i32, i32, &str)] = &[
        (1, 0, "init"),
        (2, 1, "web"),
        (3, 1, "sh"),
        (4, 3, "sleep"),
        (5, 3, "sleep"),
        (6, 1, "sh"),
        (7, 6, "sleep"),
        (8, 6, "sleep"),
        (9, 50, "exec"),
    ];

    #[test]
    fn equal_branches_are_drawn_once() {
        let tree = tree(ALL);
        assert_eq!(drawn(&tree, |_| {}), "init-+-2*[sh---2*[sleep]]\n     `-web\nexec\n");
        let all =
            "init-+-sh-+-sleep\n     |    `-sleep\n     |-sh-+-sleep\n     |    `-sleep\n     `-web\nexec\n";
        assert_eq!(drawn(&tree, |d| d.merges = false), all);
        let cut = "init-+-2*[s+\n     `-web\nexec\n";
        assert_eq!(drawn(&tree, |d| d.width = 12), cut);
        assert_eq!(drawn(&tree, |d| d.symbols = &UTF8), "init─┬─2*[sh───2*[sleep]]\n     └─web\nexec\n");
    }

    #[test]
    fn a_deep_tree_is_bounded() {
        let chain: Vec<(i32, i32, &str)> =
            (1..20_000).flat_map(|pid| [(pid, pid - 1, "a"), (pid + 100_000, pid, "b")]).collect();
        let tree = tree(&chain[..4000]);
        let text = drawn(&tree, |_| {});
        assert!(text.lines().all(|line| line.len() <= LONGEST), "{}", text.len());
        assert_eq!(text.lines().count(), 2000);
    }
}
