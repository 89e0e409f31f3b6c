//! The order of waiting jobs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::waiting_job::{Priority, WaitingJob};

/// The jobs that wait for a ComfyUI. [`FairQueue`] is the one for a single process.
pub trait JobQueue {
    /// Adds a job.
    fn push(&mut self, job: WaitingJob);

    /// Removes a job that will not run, because it was cancelled.
    fn remove(&mut self, id: &str) -> Option<WaitingJob>;

    /// Removes a job that was given to a ComfyUI. The next turn is another caller's.
    fn take(&mut self, id: &str) -> Option<WaitingJob>;

    /// Returns the number of jobs that go before this one, as things are now.
    fn position(&self, id: &str) -> Option<usize>;

    /// Returns the jobs, the next one first.
    fn in_order(&self) -> Box<dyn Iterator<Item = &WaitingJob> + '_>;

    /// Returns the number of jobs.
    fn len(&self) -> usize;

    /// Returns whether there are no jobs.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of jobs of a caller.
    fn len_of(&self, caller: &str) -> usize;
}

/// Orders jobs by priority, then in turns between callers, then by time.
///
/// The next turn is that of the caller who has waited longest since a job of theirs was taken, or never had one. So a
/// caller who sends one job at a time does not overtake a caller who sent many.
#[derive(Debug, Default)]
pub struct FairQueue {
    levels: BTreeMap<Reverse<Priority>, Level>,
    /// Where each job is.
    index: HashMap<String, Key>,
    /// The number of the turn in which a job of a caller was last taken. Missing means never.
    turns: HashMap<Arc<str>, u64>,
    last_turn: u64,
    pushed: u64,
}

/// The jobs of one priority, by caller.
type Level = BTreeMap<Arc<str>, CallerJobs>;

/// The jobs of one caller and priority, oldest first.
type CallerJobs = VecDeque<(Age, WaitingJob)>;

/// Orders the jobs of a caller: by time, and those of the same millisecond as they came.
type Age = (i64, u64);

#[derive(Debug, Clone)]
struct Key {
    priority: Priority,
    caller: Arc<str>,
    age: Age,
}

impl FairQueue {
    fn extract(&mut self, id: &str) -> Option<WaitingJob> {
        let key = self.index.remove(id)?;
        let level = self.levels.get_mut(&Reverse(key.priority))?;
        let jobs = level.get_mut(&key.caller)?;
        let position = jobs.binary_search_by_key(&key.age, |(age, _)| *age).ok()?;
        let (_, job) = jobs.remove(position)?;
        if jobs.is_empty() {
            level.remove(&key.caller);
        }
        if level.is_empty() {
            self.levels.remove(&Reverse(key.priority));
        }
        self.forget_turns();
        Some(job)
    }

    /// Forgets the turns of callers without jobs, where they no longer matter: every other turn was later.
    fn forget_turns(&mut self) {
        let waiting = || self.levels.values().flat_map(BTreeMap::keys);
        if self.turns.len() <= 2 * waiting().count() + 16 {
            return;
        }
        let oldest = waiting().map(|caller| self.turn(caller)).min().unwrap_or(u64::MAX);
        let levels = &self.levels;
        self.turns.retain(|caller, turn| {
            *turn >= oldest || levels.values().any(|level| level.contains_key(caller))
        });
    }

    fn turn(&self, caller: &str) -> u64 {
        self.turns.get(caller).copied().unwrap_or(0)
    }

    /// Returns the callers of a level, the next one first.
    fn callers<'a>(&self, level: &'a Level) -> Vec<(&'a Arc<str>, &'a CallerJobs)> {
        let mut callers: Vec<_> = level.iter().collect();
        // Callers who never had a turn go in the order of their first jobs.
        callers.sort_by_key(|(caller, jobs)| (self.turn(caller), jobs.front().map(|(age, _)| *age)));
        callers
    }
}

impl JobQueue for FairQueue {
    /// A job that is in the queue already stays where it is.
    fn push(&mut self, job: WaitingJob) {
        if self.index.contains_key(&job.id) {
            return;
        }
        self.pushed += 1;
        let age = (job.queued_at, self.pushed);
        let key = Key { priority: job.priority, caller: Arc::clone(&job.caller), age };
        let level = self.levels.entry(Reverse(job.priority)).or_default();
        let jobs = level.entry(Arc::clone(&job.caller)).or_default();
        let position = jobs.partition_point(|(other, _)| *other < age);
        self.index.insert(job.id.clone(), key);
        jobs.insert(position, (age, job));
    }

    fn remove(&mut self, id: &str) -> Option<WaitingJob> {
        self.extract(id)
    }

    fn take(&mut self, id: &str) -> Option<WaitingJob> {
        let key = self.index.get(id)?.clone();
        self.last_turn += 1;
        self.turns.insert(Arc::clone(&key.caller), self.last_turn);
        let jobs = self.levels.get_mut(&Reverse(key.priority))?.get_mut(&key.caller)?;
        for (_, earlier) in jobs.iter_mut().take_while(|(age, _)| *age < key.age) {
            earlier.overtaken += 1;
        }
        self.extract(id)
    }

    fn position(&self, id: &str) -> Option<usize> {
        let key = self.index.get(id)?;
        let higher = self.levels.range(..Reverse(key.priority));
        let higher: usize = higher.flat_map(|(_, level)| level.values()).map(VecDeque::len).sum();
        let level = self.levels.get(&Reverse(key.priority))?;
        let callers = self.callers(level);
        let own_place = callers.iter().position(|(caller, _)| **caller == key.caller)?;
        // The job runs in the round of this number. Callers whose turn comes earlier have one job more before it.
        let round = callers[own_place].1.binary_search_by_key(&key.age, |(age, _)| *age).ok()?;
        let others = callers.iter().enumerate().filter(|(place, _)| *place != own_place);
        let others: usize =
            others.map(|(place, (_, jobs))| jobs.len().min(round + usize::from(place < own_place))).sum();
        Some(higher + round + others)
    }

    fn in_order(&self) -> Box<dyn Iterator<Item = &WaitingJob> + '_> {
        Box::new(self.levels.values().flat_map(|level| Rounds::new(self.callers(level))))
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn len_of(&self, caller: &str) -> usize {
        self.levels.values().filter_map(|level| level.get(caller)).map(VecDeque::len).sum()
    }
}

/// The jobs of one level: one of each caller, then the second of each, and so on.
struct Rounds<'a> {
    callers: VecDeque<std::collections::vec_deque::Iter<'a, (Age, WaitingJob)>>,
}

impl<'a> Rounds<'a> {
    fn new(callers: Vec<(&Arc<str>, &'a CallerJobs)>) -> Self {
        Self { callers: callers.into_iter().map(|(_, jobs)| jobs.iter()).collect() }
    }
}

impl<'a> Iterator for Rounds<'a> {
    type Item = &'a WaitingJob;

    fn next(&mut self) -> Option<&'a WaitingJob> {
        loop {
            let mut jobs = self.callers.pop_front()?;
            if let Some((_, job)) = jobs.next() {
                self.callers.push_back(jobs);
                return Some(job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(jobs: &[(&str, &str, i64)]) -> FairQueue {
        let mut queue = FairQueue::default();
        for (number, (id, caller, priority)) in (0i64..).zip(jobs) {
            queue.push(WaitingJob::new(*id, *caller, (*priority).try_into().unwrap(), number));
        }
        queue
    }

    fn order(queue: &FairQueue) -> Vec<&str> {
        queue.in_order().map(|job| job.id.as_str()).collect()
    }

    fn take_first(queue: &mut FairQueue) -> String {
        let id = queue.in_order().next().unwrap().id.clone();
        queue.take(&id).unwrap().id
    }

    #[test]
    fn a_higher_priority_goes_first_then_callers_take_turns_then_time_decides() {
        let queue = queue(&[
            ("a1", "a", 0),
            ("a2", "a", 0),
            ("a3", "a", 0),
            ("b1", "b", 0),
            ("low", "b", -1),
            ("high", "a", 5),
        ]);
        assert_eq!(order(&queue), ["high", "a1", "b1", "a2", "a3", "low"]);
    }

    #[test]
    fn a_late_single_job_goes_before_the_rest_of_a_batch() {
        let mut queue = queue(&[("a1", "a", 0), ("a2", "a", 0), ("a3", "a", 0)]);
        assert_eq!(take_first(&mut queue), "a1");
        queue.push(WaitingJob::new("b1", "b", Priority::default(), 100));
        assert_eq!(order(&queue), ["b1", "a2", "a3"]);
    }

    #[test]
    fn a_caller_who_sends_one_job_at_a_time_does_not_overtake_a_batch_for_ever() {
        let mut queue = queue(&[("a1", "a", 0), ("a2", "a", 0), ("a3", "a", 0)]);
        let mut taken = Vec::new();
        for number in 0..6 {
            queue.push(WaitingJob::new(format!("b{number}"), "b", Priority::default(), 100 + number));
            taken.push(take_first(&mut queue));
        }
        assert_eq!(taken, ["a1", "b0", "a2", "b1", "a3", "b2"]);
    }

    #[test]
    fn a_job_that_was_accepted_earlier_goes_before_those_of_the_same_caller() {
        let mut queue = queue(&[("a1", "a", 0), ("a2", "a", 0)]);
        queue.push(WaitingJob::new("retried", "a", Priority::default(), -5));
        assert_eq!(order(&queue), ["retried", "a1", "a2"]);
        assert_eq!(queue.position("a2"), Some(2));
    }

    #[test]
    fn a_cancelled_job_costs_its_caller_no_turn() {
        let mut queue = queue(&[("a1", "a", 0), ("b1", "b", 0), ("a2", "a", 0)]);
        assert_eq!(queue.remove("a1").unwrap().id, "a1");
        assert_eq!(order(&queue), ["b1", "a2"], "who never had a turn goes by time");
        assert_eq!(queue.remove("a1"), None);
        assert_eq!((queue.len(), queue.len_of("a"), queue.len_of("c")), (2, 1, 0));
    }

    #[test]
    fn a_job_knows_how_many_later_ones_of_its_caller_went_first() {
        let mut queue = queue(&[("a1", "a", 0), ("b1", "b", 0), ("a2", "a", 0), ("a3", "a", 0)]);
        for id in ["a3", "b1", "a2"] {
            queue.take(id);
        }
        assert_eq!(
            queue.in_order().map(|job| (job.id.as_str(), job.overtaken)).collect::<Vec<_>>(),
            [("a1", 2)]
        );
    }

    #[test]
    fn the_same_job_waits_once() {
        let mut queue = queue(&[("a1", "a", 0), ("a1", "a", 3)]);
        assert_eq!(order(&queue), ["a1"]);
        queue.remove("a1");
        assert!(queue.is_empty() && queue.position("a1").is_none());
    }

    #[test]
    fn turns_of_callers_who_left_are_forgotten() {
        let mut queue = FairQueue::default();
        for number in 0..1000 {
            queue.push(WaitingJob::new("job", format!("caller {number}"), Priority::default(), number));
            take_first(&mut queue);
        }
        assert!(queue.turns.len() <= 17, "{}", queue.turns.len());
    }

    proptest::proptest! {
        #[test]
        fn the_position_of_a_job_is_its_place_in_the_order(
            jobs in proptest::collection::vec((0..4u8, -1..2i64, 0..5i64, proptest::bool::ANY), 0..40),
        ) {
            let mut queue = FairQueue::default();
            for (number, (caller, priority, queued_at, take)) in jobs.iter().enumerate() {
                let priority = (*priority).try_into().unwrap();
                queue.push(WaitingJob::new(format!("{number}"), caller.to_string(), priority, *queued_at));
                if *take {
                    take_first(&mut queue);
                }
            }
            let order = order(&queue);
            assert_eq!(order.len(), queue.len());
            for (position, id) in order.iter().enumerate() {
                assert_eq!(queue.position(id), Some(position), "{id} in {order:?}");
            }
        }
    }
}
