//! The chapter on detections of the rule language's page: what each type finds, and when. The recipes show each at work.

/// Markdown.
pub const SECTION: &str = r#"
## Detections

`spec.detection` says how the matches of one key (`spec.groupBy`) become a finding. Each finding has one completing moment, and
is one `count` of the alert.

| type | finds | completes at |
|---|---|---|
| `Match` | any match | the match |
| `Threshold` | `count` matches, or `distinct` values, within `within` | each match whose `within` before it holds enough |
| `Sequence` | all `steps` within `within`, in order unless `ordered: false` | each event of the last step (unordered: of any) whose `within` before it holds all |
| `Absence` | an event after which `selector` stays away for `within` | the deadline: the event's time and `within` |
| `NewValue` | a `value` that the key has not shown before | the event with the value |

All of it goes by the time of the events, and comes out the same in whatever order they were received. The first three find as
soon as the events are there; a late one only adds. The last two can't take a finding back, so they **wait** until nothing that
matters is still on its way.

### Lines that were repeated

rsyslog may write equal lines in a row once, and then `message repeated 5 times: [ … ]`. Such a line is one event that happened five times
at its own time: it counts for five matches of a `Threshold`, up to five of a step's `count` in a `Sequence` (an event that fits two
steps may serve both), and as five in `{SELECTOR.count}`; for 1000 at most. It has one value, so `distinct` counts it once; it is one completing
event, so the alert's `count` grows by one; and `Match`, `Absence` and `NewValue` see one event. `fields.?repeated` has the number.

### Absence

```yaml
detection: {type: Absence, absence: {selector: created, after: deleted, within: 10m}}
```

With `after`, each of its events is a question: unless an event of `selector` with the same key follows, at the latest `within` after it,
it is a finding. One answer answers all questions before it. At the very end of `within` is in time, and two events of the same moment
count as in order; stamps of whole seconds get the benefit of the doubt. The summary can show what was asked
(`{deleted.user.name}`), and nothing of what stays away.

Without `after`, each event of `selector` is expected to be followed by the next one. The first makes a key known; what was never
seen is never missed. A silence is found once, `within` after the last event, and again only after the key came back and fell silent anew.
The alert resolves after `resolveAfter` like any other, whether the key came back or not.

### NewValue

```yaml
detection: {type: NewValue, newValue: {value: source.ip, learnFor: 7d, forgetAfter: 30d}}
```

Every event that a selector takes shows a value for its key; an empty one takes no part. For `learnFor` from the key's own first event on the
key is only learned, and nothing is found: each key learns for itself, whenever it first appears. After that, a value that the key did not
show in the `forgetAfter` before is a finding, once: from then on it is known. A key that shows nothing for longer than `forgetAfter` is
forgotten, and learned anew. The summary has `{new.value}`, `{new.known}`, the number of values that were known at that moment, and `{new.since}`,
since when the key is learned; without any of them they are added at its end.

### How long they wait

They go by the clock of the event's **source**: an API server, or a node. Its time has come as far as the controller's clock, less what
the source lags behind (the least that any of its events did). So a node whose clock is wrong, or whose lines come late, is waited for
by its own keys and by no others. A key that several sources tell of waits for the slowest, of at most 16; one that has not told
of the key yet is not known to be waited for. Something is decided when the time of its sources has passed it by **five minutes**. What comes later than that is ignored by these two types, and counted
(`kubewitness_pipeline_matches_late_total`): it answers nothing, teaches nothing and asks nothing. All files of a node are one source: what one of
them brings over five minutes further behind than the promptest of them is late. An Absence is then found though the event that was expected
happened, and a value that such a file is the first to show is neither found nor learned. So let both selectors of a rule read files
that are shipped alike. An outage of the controller itself makes
nothing late: time in which nobody was there to receive does not count until a source is heard again.

So that silence is noticed at all, the clock is recorded: while such a rule is at work and nothing else is received, the controller writes a
tick into the record every 30 seconds.

`kubewitness replay` reads all before it decides, so nothing is late. Time ends with the newest event, and a deadline beyond it is not
decided. In a rule's tests time ends with the last input, or at `advanceTo`.

A restart goes on from the last snapshot (`--snapshot-every`). Where none can be used, both are rebuilt from the record, which is bounded by its size (`--retain-bytes`): what was learned before its beginning is learned
anew.
"#;
