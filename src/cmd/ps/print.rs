//! Lays processes out in columns. Their widths come from the first wave, so that memory stays bounded.

use std::cmp::Ordering;
use std::io;
use std::sync::atomic::Ordering::Relaxed;

use unicode_width::UnicodeWidthStr;

use super::cells;
use super::collect::{Collector, Process};
use super::columns::{Chosen, Column, Sorting};
use super::json::Row;
use super::{Order, forest};
use crate::out::table::{NoRow, cut};
use crate::out::{Align, Output};

/// Processes that are read, laid out and printed together.
const WAVE: usize = 2048;
/// Processes that are sorted.
const SORTED: usize = 200_000;

/// How lines are laid out.
pub struct Layout<'a> {
    pub columns: &'a [Chosen],
    pub header: bool,
    /// Columns of the terminal.
    pub limit: usize,
}

/// Cells of several lines in one buffer.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where each cell ends.
    ends: Vec<usize>,
}

impl Lines {
    fn add(&mut self, process: &Process, all: &Collector, columns: &[Chosen]) {
        for chosen in columns {
            cells::write(chosen.column, process, all, &mut self.bytes);
            self.ends.push(self.bytes.len());
        }
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let cell = self.bytes.get(from..*end).unwrap_or_default();
            from = *end;
            cell
        })
    }
}

/// Prints processes as they are read, and says how many.
pub fn streamed(
    all: &Collector,
    pids: &[i32],
    layout: &Layout,
    out: &mut Output<NoRow>,
) -> io::Result<usize> {
    let mut printer = Printer::new(layout);
    let mut shown = 0;
    for wave in pids.chunks(WAVE) {
        if out.is_json() {
            let rows = all.map(wave, |all, process, made: &mut Vec<Row>| made.push(Row::new(&process, all)));
            for row in rows.iter().flatten() {
                out.json(row)?;
                shown += 1;
            }
        } else {
            let lines =
                all.map(wave, |all, process, made: &mut Lines| made.add(&process, all, layout.columns));
            shown += printer.print(&lines, out)?;
        }
    }
    if shown == 0 && !out.is_json() {
        printer.print(&[], out)?;
    }
    Ok(shown)
}

/// Reads all processes, orders them, prints them, and says how many.
pub fn held(
    all: &Collector,
    pids: &[i32],
    layout: &Layout,
    order: &Order,
    as_forest: bool,
    out: &mut Output<NoRow>,
) -> io::Result<usize> {
    all.budget.hold();
    let mut processes: Vec<Process> = Vec::new();
    for wave in pids.chunks(WAVE) {
        let made = all.map(wave, |_, process, made: &mut Vec<Process>| made.push(process));
        processes.extend(made.into_iter().flatten());
        if processes.len() > SORTED {
            processes.truncate(SORTED);
            all.budget.many.store(true, Relaxed);
            break;
        }
    }
    processes.sort_by(|a, b| {
        order.iter().fold(Ordering::Equal, |before, (column, sorting)| {
            before.then_with(|| {
                let up = compare(*column, a, b, all);
                if *sorting == Sorting::Up { up } else { up.reverse() }
            })
        })
    });
    if as_forest {
        processes = forest::plant(processes);
    }
    let mut printer = Printer::new(layout);
    for wave in processes.chunks(WAVE) {
        if out.is_json() {
            for process in wave {
                out.json(&Row::new(process, all))?;
            }
            continue;
        }
        let mut lines = Lines::default();
        for process in wave {
            lines.add(process, all, layout.columns);
        }
        printer.print(&[lines], out)?;
    }
    if processes.is_empty() && !out.is_json() {
        printer.print(&[], out)?;
    }
    Ok(processes.len())
}

/// Orders two processes by a column: by its value, and where it is a name, by its bytes.
fn compare(column: Column, a: &Process, b: &Process, all: &Collector) -> Ordering {
    let system = &all.system;
    let value = |p: &Process| match column {
        Column::Pid => f64::from(p.pid),
        Column::Ppid => f64::from(p.stat.ppid),
        Column::Pgid => f64::from(p.stat.pgrp),
        Column::Sid => f64::from(p.stat.session),
        Column::Tid => f64::from(p.tid),
        Column::Threads => p.stat.num_threads as f64,
        Column::Uid => f64::from(p.uid),
        Column::RealUid => f64::from(p.ruid),
        Column::Gid => f64::from(p.gid),
        Column::RealGid => f64::from(p.rgid),
        Column::Cpu | Column::CpuWhole => p.cpu_percent(system),
        Column::Memory | Column::Rss | Column::Size => p.rss as f64,
        Column::Vsz | Column::Pages => p.stat.vsize as f64,
        Column::Tty => f64::from(p.stat.tty_nr),
        Column::Time | Column::BsdTime | Column::Seconds => p.ticks() as f64,
        Column::Elapsed | Column::ElapsedSeconds => -(p.stat.starttime as f64),
        Column::StartShort | Column::Start | Column::StartLong => p.stat.starttime as f64,
        Column::Nice => p.stat.nice as f64,
        Column::Priority => -p.stat.priority as f64,
        Column::LongPriority => p.stat.priority as f64,
        Column::RealtimePriority => f64::from(p.stat.rt_priority),
        Column::Processor => f64::from(p.stat.processor),
        Column::Flags => f64::from(p.stat.flags),
        Column::MinorFaults => p.stat.minflt as f64,
        Column::MajorFaults => p.stat.majflt as f64,
        Column::ForegroundGroup => f64::from(p.stat.tpgid),
        Column::OomAdjustment => p.oom_adjustment as f64,
        Column::OomScore => p.oom_score as f64,
        Column::Proportional => p.shares.proportional as f64,
        Column::Unshared => p.shares.unshared as f64,
        _ => f64::NAN,
    };
    value(a).partial_cmp(&value(b)).unwrap_or_else(|| {
        let text = |p: &Process| {
            let mut text = Vec::new();
            cells::write(column, p, all, &mut text);
            text
        };
        text(a).cmp(&text(b))
    })
}

struct Printer<'a> {
    layout: &'a Layout<'a>,
    widths: Vec<usize>,
    started: bool,
    line: Vec<u8>,
}

impl<'a> Printer<'a> {
    fn new(layout: &'a Layout<'a>) -> Self {
        let widths = layout.columns.iter().map(|c| c.width.unwrap_or_else(|| c.header.width())).collect();
        Self { layout, widths, started: false, line: Vec::new() }
    }

    /// Prints lines, before the first of them the header, and says how many.
    fn print(&mut self, all: &[Lines], out: &mut Output<NoRow>) -> io::Result<usize> {
        let count = self.layout.columns.len();
        if !self.started {
            self.started = true;
            for lines in all {
                for (at, cell) in lines.cells().enumerate() {
                    // Text in the last column is not padded.
                    let column = at % count;
                    let padded = column + 1 != count
                        || self.layout.columns.get(column).is_some_and(|c| c.align == Align::Right);
                    let is_fixed = self.layout.columns.get(column).is_some_and(|c| c.width.is_some());
                    if padded
                        && !is_fixed
                        && let Some(width) = self.widths.get_mut(column)
                    {
                        *width = (*width).max(cell_width(cell));
                    }
                }
            }
            if self.layout.header {
                for (at, chosen) in self.layout.columns.iter().enumerate() {
                    self.cell(at, chosen.header.as_bytes());
                }
                self.end(out)?;
            }
        }
        let mut shown = 0;
        for lines in all {
            for (at, cell) in lines.cells().enumerate() {
                self.cell(at % count, cell);
                if at % count + 1 == count {
                    self.end(out)?;
                    shown += 1;
                }
            }
        }
        Ok(shown)
    }

    fn cell(&mut self, at: usize, cell: &[u8]) {
        let last = at + 1 == self.layout.columns.len();
        let width = self.widths.get(at).copied().unwrap_or(0);
        let pad = width.saturating_sub(cell_width(cell));
        let column = self.layout.columns.get(at);
        let right = column.is_some_and(|c| c.align == Align::Right);
        let short;
        let is_cut = !last && !right && column.is_some_and(|c| c.width.is_some()) && cell_width(cell) > width;
        let cell = if is_cut {
            short = cut(&String::from_utf8_lossy(cell), width).into_owned();
            short.as_bytes()
        } else {
            cell
        };
        let from = self.line.len();
        if right {
            self.line.resize(from + pad, b' ');
        }
        self.line.extend_from_slice(cell);
        if !last {
            let after = if right { 0 } else { pad } + 1;
            self.line.resize(self.line.len() + after, b' ');
        }
    }

    fn end(&mut self, out: &mut Output<NoRow>) -> io::Result<()> {
        if self.layout.limit == usize::MAX {
            self.line.push(b'\n');
            out.bytes().write_all(&self.line)?;
        } else {
            let text = String::from_utf8_lossy(&self.line);
            out.bytes().write_all(cut(&text, self.layout.limit).as_bytes())?;
            out.bytes().write_all(b"\n")?;
        }
        self.line.clear();
        Ok(())
    }
}

fn cell_width(cell: &[u8]) -> usize {
    if cell.is_ascii() {
        cell.len()
    } else {
        std::str::from_utf8(cell).map_or(cell.len(), UnicodeWidthStr::width)
    }
}
