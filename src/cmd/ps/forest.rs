//! Processes as a forest: children below their parents.

use std::collections::HashMap;

use super::collect::Process;

/// Deeper levels are drawn at this depth: a line stays bounded.
const DEEPEST: usize = 64;

/// Puts children after their parents and draws the branches, as procps does. Siblings keep their order. Iterative, since
/// the target decides how deep it is.
pub fn plant(processes: Vec<Process>) -> Vec<Process> {
    let here: HashMap<i32, usize> =
        processes.iter().enumerate().rev().map(|(at, process)| (process.pid, at)).collect();
    let mut children: HashMap<i32, Vec<usize>> = HashMap::new();
    let mut stack = Vec::new();
    for (at, process) in processes.iter().enumerate().rev() {
        if here.contains_key(&process.stat.ppid) && process.stat.ppid != process.pid {
            children.entry(process.stat.ppid).or_default().push(at);
        } else {
            stack.push((at, None::<(Vec<bool>, bool)>));
        }
    }
    let mut processes: Vec<Option<Process>> = processes.into_iter().map(Some).collect();
    let mut planted = Vec::with_capacity(processes.len());
    while let Some((at, place)) = stack.pop() {
        let Some(mut process) = processes.get_mut(at).and_then(Option::take) else { continue };
        // Below: for each level whether more siblings follow there.
        let mut below = Vec::new();
        if let Some((above, last)) = place {
            for more in &above {
                process.branch.push_str(if *more { " |  " } else { "    " });
            }
            process.branch.push_str(" \\_ ");
            below = above;
            if below.len() < DEEPEST {
                below.push(!last);
            }
        }
        for (nth, child) in children.remove(&process.pid).unwrap_or_default().into_iter().enumerate() {
            stack.push((child, Some((below.clone(), nth == 0))));
        }
        planted.push(process);
    }
    // A loop of parents cannot come from one look at a kernel, but from several: what it holds is shown too.
    planted.extend(processes.into_iter().flatten());
    planted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_drawn_and_nothing_is_lost() {
        let process = |pid, ppid| {
            let mut process = Process { pid, ..Process::default() };
            process.stat.ppid = ppid;
            process
        };
        let all = [(1, 0), (2, 1), (3, 1), (4, 2), (5, 99), (7, 8), (8, 7)];
        let planted = plant(all.into_iter().map(|(pid, ppid)| process(pid, ppid)).collect());
        let drawn: Vec<_> = planted.iter().map(|p| format!("{}{}", p.branch, p.pid)).collect();
        assert_eq!(drawn, ["1", " \\_ 2", " |   \\_ 4", " \\_ 3", "5", "7", "8"]);
    }

    #[test]
    fn a_chain_of_any_depth_is_planted() {
        let chain = (1..5000).map(|pid| {
            let mut process = Process { pid, ..Process::default() };
            process.stat.ppid = pid - 1;
            process
        });
        let planted = plant(chain.collect());
        assert_eq!(planted.len(), 4999);
        assert!(planted.iter().all(|p| p.branch.len() <= 4 * (DEEPEST + 1)));
    }
}
