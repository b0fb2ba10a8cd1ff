//! The channel with rings and messages of many sizes.

use std::time::Duration;

use shmcomm_bench::distance::rounds;
use shmcomm_bench::table::Table;
use shmcomm_bench::{Result, Run};

use crate::peers::SYSTEMS;
use crate::workload::{Job, Until, Work};

const UNTIL: Until = Until::Time(Duration::from_millis(50));
const RINGS: [(&str, usize); 5] = [
    ("16 KiB", 16 << 10),
    ("64 KiB", 64 << 10),
    ("256 KiB", 256 << 10),
    ("1 MiB", 1 << 20),
    ("8 MiB", 8 << 20),
];
const HEADER: [&str; 7] = [
    "ring", "8 B/s", "64 B/s", "256 B/s", "1 KiB/s", "4 KiB/s", "16 KiB/s",
];
const MESSAGES: [usize; 6] = [8, 64, 256, 1 << 10, 4 << 10, 16 << 10];

pub fn measure(run: &Run) -> Result<()> {
    println!("\n## Sizes");
    let mut table = Table::new(HEADER);
    table.rows(RINGS.map(|(name, _)| name));
    for (title, table) in rounds(
        run,
        &table,
        RINGS.len() * MESSAGES.len(),
        |turn, samples| {
            let (row, column) = (turn / MESSAGES.len(), turn % MESSAGES.len());
            let ((_, ring), message) = (RINGS[row], MESSAGES[column]);
            // A message and its length must fit.
            if message < ring {
                let scratch = &run.scratch;
                let job = Job {
                    scratch,
                    work: Work::OneWay,
                    message,
                    ring,
                    until: UNTIL,
                };
                samples.push((row, column + 1, (SYSTEMS[0].run)(&job)?[0]));
            }
            Ok(())
        },
    )? {
        println!("\n### Sizes, {title}");
        table.print();
    }
    println!("\nMessages a second, one way, in place, through libshmcomm.so.");
    Ok(())
}
