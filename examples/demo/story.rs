//! What the reader of the demo sees while it runs: one line for each step, with the time it took.
//! In: steps as they begin. Out: lines on standard output. Also the place where a signal ends the demo: between two steps.

use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Set once, by the first signal.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails after a signal: the demo ends here, and what it started with it.
    pub fn check(&self) -> Result<()> {
        match self.is_set() {
            true => bail!("interrupted"),
            false => Ok(()),
        }
    }

    /// Sleeps until a signal. Whoever sets it must unpark this thread.
    pub fn wait(&self) {
        while !self.is_set() {
            thread::park();
        }
    }
}

pub struct Story<'a> {
    pub stop: &'a Stop,
    began: Instant,
    open: Option<Instant>,
    noted: Instant,
    how_far: String,
    width: usize,
}

/// Where the times stand.
const COLUMN: usize = 92;

impl Story<'_> {
    pub fn new(stop: &Stop) -> Story<'_> {
        Story { stop, began: Instant::now(), open: None, noted: Instant::now(), how_far: String::new(), width: 0 }
    }

    /// A heading.
    pub fn chapter(&mut self, title: &str) -> Result<()> {
        self.end();
        self.stop.check()?;
        println!("\n{title}");
        Ok(())
    }

    /// A step begins; the one before it, if any, has ended.
    pub fn step(&mut self, what: &str) -> Result<()> {
        self.end();
        self.stop.check()?;
        self.write(&format!("  {what}"));
        self.open = Some(Instant::now());
        self.noted = Instant::now();
        Ok(())
    }

    /// How far a step is that takes longer: at most once a second, and the same again every ten.
    pub fn progress(&mut self, how_far: String) {
        let pause = Duration::from_secs(if how_far == self.how_far { 10 } else { 1 });
        if self.noted.elapsed() >= pause {
            self.write(&format!(" .. {how_far}"));
            self.noted = Instant::now();
            self.how_far = how_far;
        }
    }

    /// The step has ended. After a signal its time is of no interest.
    pub fn end(&mut self) {
        if let Some(since) = self.open.take().filter(|_| !self.stop.is_set()) {
            let pad = COLUMN.saturating_sub(self.width);
            println!("{:pad$} {:5.1} s", "", since.elapsed().as_secs_f64());
            self.width = 0;
        }
    }

    /// Seconds since the demo began.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn write(&mut self, text: &str) {
        print!("{text}");
        std::io::stdout().flush().ok(); // a reader that is gone needs no progress
        self.width += text.chars().count();
    }
}
