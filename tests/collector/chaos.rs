//! Rotations by rename and by copytruncate under a writer, while the collector is killed and the controller is away: every
//! line arrives, from one place. `KUBEWITNESS_CHAOS=full` runs the whole of it, some minutes; otherwise a small count.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    Node,
    controller::Mood,
    node::LONG,
    writer::{Scale, Writing, Written, number_of},
};
use crate::support::wait_until;

const LOG: &str = "/var/log/app.log";

const SMALL: Scale = Scale {
    rotations: 8,
    kills: 4,
    lines_a_second: 2_000,
    between_rotations: Duration::from_millis(700),
    cut: Duration::from_secs(1),
};

/// Where lines end up. The real controller has its own chaos in `cluster::shipping`, where it is killed, too.
trait Receiver {
    /// Unique lines so far.
    fn unique(&self) -> usize;
    fn is(&self, mood: Mood);
    /// What is wrong with the lines that came; `written` holds every line by its number.
    fn faults(&self, written: &Written) -> Vec<String>;
}

impl Receiver for super::Controller {
    fn unique(&self) -> usize {
        self.count()
    }

    fn is(&self, mood: Mood) {
        super::Controller::is(self, mood);
    }

    fn faults(&self, written: &Written) -> Vec<String> {
        let mut faults: Vec<String> = self
            .contradictions()
            .iter()
            .map(|(first, second)| format!("two lines at one place: {first:?} {second:?}"))
            .collect();
        let mut places: HashMap<usize, (String, u64)> = HashMap::new();
        for line in self.lines() {
            let Some(number) = number_of(&line.text) else {
                faults.push(format!("a line that nobody wrote: {line:?}"));
                continue;
            };
            let place = (line.id.clone(), line.offset);
            if let Some(other) = places.insert(number, place) {
                faults.push(format!("line {number} from two places: {other:?} {line:?}"));
            }
        }
        let lost = written.lost(|number| places.contains_key(&number));
        if !lost.is_empty() {
            faults.push(format!("{} lines are lost, such as {:?}", lost.len(), &lost[..lost.len().min(20)]));
        }
        faults
    }
}

/// Kills the collector and starts it again at uneven distances, until the writer is done; then as often as is left.
fn kill_again_and_again(node: &mut Node, scale: Scale, writing: &Writing) {
    let mut random = fastrand::Rng::with_seed(11);
    let span = scale.span();
    let begin = Instant::now();
    let mut is_cut = None;
    for kill in 0..scale.kills {
        let at = span * (kill as u32 + 1) / (scale.kills as u32 + 1) + Duration::from_millis(random.u64(0..400));
        wait_until("time for the next kill", span + LONG, || (begin.elapsed() >= at).then_some(())).unwrap();
        node.kill();
        // Now and then so long that more than one rotation is missed.
        let away = if kill % 3 == 0 { scale.between_rotations * 2 } else { Duration::ZERO };
        let killed = Instant::now();
        wait_until("the collector stays away", LONG, || (killed.elapsed() >= away).then_some(())).unwrap();
        node.start();
        let receiver: &dyn Receiver = &node.controller;
        match kill {
            1 => receiver.is(Mood::Refuses(503)),
            2 => receiver.is(Mood::TakesAndCuts),
            3 => {
                receiver.is(Mood::Cut);
                is_cut = Some(Instant::now());
            }
            _ if is_cut.is_some_and(|since| since.elapsed() < scale.cut) => {}
            _ => receiver.is(Mood::Takes),
        }
    }
    wait_until("the writer is done", span + LONG, || writing.is_done().then_some(())).unwrap();
    let since = is_cut.unwrap_or(begin);
    wait_until("the cut is over", scale.cut + LONG, || (since.elapsed() >= scale.cut).then_some(())).unwrap();
    Receiver::is(&node.controller, Mood::Takes);
}

#[test]
fn no_line_is_lost_or_repeated_by_rotations_kills_and_outages() {
    let scale = Scale::from_environment(SMALL);
    let mut node = Node::new(&[LOG]);
    let writing = Writing::start(node.file(LOG), scale);
    node.start();
    kill_again_and_again(&mut node, scale, &writing);
    let written = writing.end();
    assert_eq!(written.rotations, scale.rotations);
    let receiver: &dyn Receiver = &node.controller;
    let at_least = written.lines - written.destroyed.len();
    let mut last = (receiver.unique(), Instant::now());
    let arrived = wait_until("every line arrives", LONG * 5, || {
        if receiver.unique() != last.0 {
            last = (receiver.unique(), Instant::now());
        }
        // Once nothing comes any more, what is missing can be named.
        (receiver.unique() >= at_least && last.1.elapsed() > Duration::from_secs(2) || last.1.elapsed() > LONG / 2)
            .then_some(())
    });
    let faults = receiver.faults(&written);
    assert!(arrived.is_ok() && faults.is_empty(), "{scale:?}\n{}\n{}", faults.join("\n"), node.log());
    println!(
        "{} lines written, {} between copy and truncation, {} arrived, {} came more than once",
        written.lines,
        written.destroyed.len(),
        node.controller.count(),
        node.controller.duplicates()
    );
}
