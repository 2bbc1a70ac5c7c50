"""The pipeline under torture. After every run: no thread alive, every slot home."""

from __future__ import annotations

import _thread
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paragon_stream.frame import Timing
from paragon_stream.pipeline.pipeline import Pipeline, PipelineStats, Progress
from paragon_stream.pipeline.slot import Slot
from paragon_stream.pipeline.stage import Overflow, Stage

pytestmark = pytest.mark.timeout(120)

STAGES = ("decode", "engine", "encode")
FRAMES = 12


class Broken(Exception):
    """The exception that the tests raise."""


class Async:
    """Asynchronous work of the tests: done, or failed, when `wait` is called."""

    def __init__(self, slot: Slot[bytearray], error: Exception | None = None) -> None:
        self.slot, self.error, self.waits = slot, error, 0

    def wait(self) -> None:
        self.waits += 1
        if self.error is not None:
            raise self.error
        self.slot.outputs[0][0] = self.slot.inputs[0][0]


class Line:
    """A source of `frames` numbered frames, an engine that copies the number, and a sink that notes it.

    `trouble(stage, frame)` is called before each stage's work and may do anything.
    """

    def __init__(
        self,
        *,
        frames: int = FRAMES,
        slots: int = 4,
        trouble: Callable[[str, int], bool | None] = lambda stage, frame: None,
        asynchronous: bool = False,
        failing_completion: int | None = None,
        overflow: Overflow = Overflow.WAIT,
    ) -> None:
        self.frames, self.trouble = frames, trouble
        self.asynchronous, self.failing_completion = asynchronous, failing_completion
        self.seen: list[int] = []
        self.finished: list[str] = []
        self.started = dict.fromkeys(STAGES, 0)
        self.completions: list[Async] = []
        self.error = Broken("as arranged")
        self.slots = [Slot(inputs=(bytearray(1),), outputs=(bytearray(1),)) for _ in range(slots)]
        self.pipeline = Pipeline(
            self.slots,
            [
                Stage(name="decode", work=self.fill, overflow=overflow),
                Stage(name="engine", work=self.step, finish=lambda: self.finished.append("engine")),
                Stage(name="encode", work=self.drain, finish=lambda: self.finished.append("encode")),
            ],
        )

    def begin(self, stage: str) -> bool | None:
        frame = self.started[stage]
        self.started[stage] += 1
        return self.trouble(stage, frame)

    def fill(self, slot: Slot[bytearray]) -> bool:
        frame = self.started["decode"]
        if frame == self.frames:
            return False
        slot.timing = Timing(pts=frame, duration=1, time_base=Fraction(1, 25))
        slot.inputs[0][0] = frame % 256
        return self.begin("decode") is not False

    def step(self, slot: Slot[bytearray]) -> bool | None:
        frame = self.started["engine"]
        if self.asynchronous:
            error = self.error if frame == self.failing_completion else None
            slot.completion = Async(slot, error)
            self.completions.append(slot.completion)
        else:
            slot.outputs[0][0] = slot.inputs[0][0]
        return self.begin("engine")

    def drain(self, slot: Slot[bytearray]) -> bool | None:
        if self.begin("encode") is False:
            return False
        assert slot.timing is not None
        assert slot.outputs[0][0] == slot.timing.pts % 256
        self.seen.append(slot.timing.pts)
        return None

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> PipelineStats:
        """`Pipeline.run`, then the two promises that hold whatever happens."""
        try:
            return self.pipeline.run(on_progress, interval=0.0)
        finally:
            self.check_quiet()

    def check_quiet(self) -> None:
        assert [t.name for t in threading.enumerate() if t.name.startswith("paragon-")] == []
        assert self.pipeline.pool.home == len(self.slots)


@pytest.fixture(autouse=True)
def ctrl_c_is_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def pause(seconds: float = 0.002) -> None:
    time.sleep(seconds)


def fail_at(stage: str, frame: int, error: BaseException) -> Callable[[str, int], None]:
    def trouble(now: str, number: int) -> None:
        if (now, number) == (stage, frame):
            raise error

    return trouble


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("slots", [1, 2, 3, 4, 32])
@pytest.mark.parametrize("frames", [0, 1, 2, 300])
def test_every_frame_passes_in_order(frames: int, slots: int, asynchronous: bool) -> None:
    line = Line(frames=frames, slots=slots, asynchronous=asynchronous)
    stats = line.run()
    assert line.seen == list(range(frames))
    assert line.finished == ["engine", "encode"]
    assert list(stats.stages) == list(STAGES)
    assert [stage.frames for stage in stats.stages.values()] == [frames] * 3
    assert [stage.dropped for stage in stats.stages.values()] == [0] * 3
    assert all(completion.waits == 1 for completion in line.completions)


@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("frame", [0, FRAMES // 2, FRAMES - 1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_anywhere_stops_all_and_comes_out_as_it_was(stage: str, frame: int, slots: int) -> None:
    line = Line(slots=slots)
    line.trouble = fail_at(stage, frame, line.error)
    with pytest.raises(Broken) as caught:
        line.run()
    assert caught.value is line.error
    assert caught.value.__notes__ == [f"in stage {stage} (frame {frame}, {frame / 25:.3f} s)"]
    (failure,) = line.pipeline.failures
    assert (failure.stage, failure.frame, failure.error) == (stage, frame, line.error)
    assert failure.timing == Timing(pts=frame, duration=1, time_base=Fraction(1, 25))
    assert line.seen == list(range(len(line.seen)))
    assert len(line.seen) <= frame
    assert "encode" not in line.finished
    assert line.pipeline.stats.stages[stage].frames == frame


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), KeyboardInterrupt(), MemoryError()])
def test_any_kind_of_exception_is_carried_over(error: BaseException) -> None:
    line = Line(trouble=fail_at("engine", 3, error))
    with pytest.raises(type(error)) as caught:
        line.run()
    assert caught.value is error


@pytest.mark.parametrize("frame", [0, FRAMES // 2, FRAMES - 1])
def test_a_failing_completion_is_the_engines_failure(frame: int) -> None:
    line = Line(asynchronous=True, failing_completion=frame)
    with pytest.raises(Broken) as caught:
        line.run()
    assert caught.value is line.error
    failure = line.pipeline.failures[0]
    assert (failure.stage, failure.frame) == ("engine", frame)
    assert failure.timing is not None
    assert failure.timing.pts == frame
    assert line.seen == list(range(frame))


def test_a_failing_completion_of_the_last_stage_is_not_lost() -> None:
    error = Broken("the write came to nothing")

    def drain(slot: Slot[bytearray]) -> None:
        slot.completion = Async(slot, error)

    slots = [Slot(inputs=(bytearray(1),), outputs=(bytearray(1),))]
    pipeline = Pipeline(slots, [Stage(name="all", work=drain)])
    with pytest.raises(Broken) as caught:
        pipeline.run()
    assert caught.value is error
    assert pipeline.pool.home == 1


def test_busy_time_of_an_asynchronous_stage_is_what_it_kept_others_waiting() -> None:
    """`work` and the wait for its completions overlap; together they are within the wall time."""
    line = Line(frames=20, trouble=lambda stage, frame: pause() if stage == "engine" else None)
    waits = threading.Event()

    class Slow(Async):
        def wait(self) -> None:
            waits.wait(0.002)
            super().wait()

    def step(slot: Slot[bytearray]) -> None:
        line.step(slot)
        slot.completion = Slow(slot)

    stages = [
        Stage(name="decode", work=line.fill),
        Stage(name="engine", work=step),
        Stage(name="encode", work=line.drain),
    ]
    line.pipeline = Pipeline(line.slots, stages)
    stats = line.run()
    engine, encode = stats.stages["engine"], stats.stages["encode"]
    assert 0 < encode.waiting_for_input <= stats.wall
    assert encode.busy < engine.busy <= stats.wall


def test_unfinished_asynchronous_work_is_waited_for_before_its_slot_goes_home() -> None:
    line = Line(asynchronous=True)
    line.trouble = fail_at("encode", 2, line.error)
    with pytest.raises(Broken):
        line.run()
    assert all(completion.waits >= 1 for completion in line.completions)


@pytest.mark.parametrize("which", ["engine", "encode"])
def test_a_failure_while_finishing(which: str) -> None:
    error = Broken("at the flush")

    def finish() -> None:
        raise error

    line = Line()
    stages = [
        Stage(name="decode", work=line.fill),
        Stage(name="engine", work=line.step, finish=finish if which == "engine" else None),
        Stage(name="encode", work=line.drain, finish=finish if which == "encode" else None),
    ]
    line.pipeline = Pipeline(line.slots, stages)
    with pytest.raises(Broken) as caught:
        line.run()
    assert caught.value is error
    assert caught.value.__notes__ == [f"in stage {which} (frame {FRAMES})"]


def test_later_failures_are_noted_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    both = threading.Barrier(2)
    errors = {"decode": Broken("source"), "encode": Broken("sink")}

    def trouble(stage: str, frame: int) -> None:
        if (stage, frame) in (("decode", 5), ("encode", 1)):
            both.wait(30)
            raise errors[stage]

    line = Line(slots=8, trouble=trouble)
    with pytest.raises(Broken) as caught:
        line.run()
    first, second = line.pipeline.failures
    assert caught.value is first.error
    assert {first.error, second.error} == set(errors.values())
    assert caught.value.__notes__ == [str(first), f"later, {second}: {second.error!r}"]
    assert "a later failure" in caplog.text


@pytest.mark.parametrize("slow", STAGES)
def test_a_slow_stage_holds_the_others_back(slow: str) -> None:
    """While the slow stage waits, at most as many frames as slots are in flight."""
    gate, stuck = threading.Event(), threading.Event()

    def trouble(stage: str, frame: int) -> None:
        if stage == slow and frame == 3:
            stuck.set()
            gate.wait(60)

    line = Line(frames=40, slots=4, trouble=trouble)

    def let_go() -> None:
        stuck.wait(60)
        while line.pipeline.pool.home and slow != "decode":
            pause()
        pause(0.1)  # time in which a leak of slots would show
        ahead = line.started["decode"] - len(line.seen)
        under_way.append(ahead)
        gate.set()

    under_way: list[int] = []
    helper = threading.Thread(target=let_go, daemon=True)
    helper.start()
    stats = line.run()
    helper.join(30)
    assert line.seen == list(range(40))
    assert under_way[0] <= 4
    busiest = max(stats.stages, key=lambda name: stats.stages[name].busy)
    assert busiest == slow
    assert stats.stages["encode"].waiting_for_input > 0 or slow == "encode"
    assert stats.stages["decode"].waiting_for_output > 0 or slow == "decode"


@pytest.mark.parametrize("slots", [1, 3, 8])
@pytest.mark.parametrize("frame", [0, 4])
@pytest.mark.parametrize("stage", ["engine", "encode"])
def test_a_stage_that_has_had_enough_ends_the_run_in_good_order(stage: str, frame: int, slots: int) -> None:
    line = Line(
        frames=1000,
        slots=slots,
        trouble=lambda now, number: False if (now, number) == (stage, frame) else None,
    )
    stats = line.run()
    assert line.seen == list(range(frame))
    assert line.pipeline.failures == ()
    assert "encode" in line.finished, "what came before is still to be flushed"
    assert stats.stages["decode"].frames <= frame + 1 + slots


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_ends_an_endless_source(stage: str) -> None:
    def trouble(now: str, number: int) -> None:
        if (now, number) == (stage, 3):
            _thread.interrupt_main()
        pause(0.001)

    line = Line(frames=1_000_000, trouble=trouble)
    with pytest.raises(KeyboardInterrupt):
        line.run()
    assert line.finished == []
    assert line.seen == list(range(len(line.seen)))


def test_ctrl_c_while_every_channel_is_full() -> None:
    full, gate = threading.Event(), threading.Event()

    def trouble(stage: str, frame: int) -> None:
        if stage == "encode":
            full.set()
            gate.wait(60)

    line = Line(frames=1000, slots=6, trouble=trouble)

    def interrupt_when_full() -> None:
        full.wait(60)
        while line.pipeline.pool.home:
            pause()
        _thread.interrupt_main()
        while not line.pipeline.stopping:
            pause()
        gate.set()

    helper = threading.Thread(target=interrupt_when_full, daemon=True)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        line.run()
    helper.join(30)
    assert len(line.seen) == 1


@pytest.mark.parametrize("frame", [0, FRAMES // 2, FRAMES - 1])
@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_during_any_frame(stage: str, frame: int) -> None:
    def trouble(now: str, number: int) -> None:
        if (now, number) == (stage, frame):
            _thread.interrupt_main()
            _thread.interrupt_main()

    line = Line(trouble=trouble)
    with pytest.raises(KeyboardInterrupt):
        line.run()


def test_ctrl_c_at_any_moment_and_again_and_again() -> None:
    """Three from within one frame, while the main thread starts threads, waits, stops and joins."""
    chance = random.Random(20)
    for _ in range(100):
        delays = [chance.choice((0.0, 0.0005, 0.005)) for _ in range(3)]
        where = (chance.choice(STAGES), chance.randrange(3))

        def trouble(
            stage: str,
            frame: int,
            where: tuple[str, int] = where,
            delays: list[float] = delays,
        ) -> None:
            if (stage, frame) == where:
                for delay in delays:
                    pause(delay)
                    _thread.interrupt_main()

        line = Line(slots=2, trouble=trouble)
        with pytest.raises(KeyboardInterrupt):
            line.run(lambda progress: None)


def test_ctrl_c_wins_over_the_failure_that_it_caused() -> None:
    line = Line()

    def trouble(stage: str, frame: int) -> None:
        if (stage, frame) == ("encode", 2):
            _thread.interrupt_main()
            raise line.error

    line.trouble = trouble
    with pytest.raises(KeyboardInterrupt) as caught:
        line.run()
    assert caught.value.__cause__ is line.error


def test_a_foreign_ctrl_c_handler_is_left_in_place() -> None:
    class Stop(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGINT, handler)
    try:
        line = Line(
            trouble=lambda stage, frame: (
                _thread.interrupt_main() if (stage, frame) == ("engine", 2) else pause()
            )
        )
        with pytest.raises(Stop):
            line.run()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_runs_outside_the_main_thread() -> None:
    results: list[PipelineStats] = []
    line = Line()
    thread = threading.Thread(target=lambda: results.append(line.pipeline.run()), daemon=True)
    thread.start()
    thread.join(30)
    assert results[0].stages["encode"].frames == FRAMES
    line.check_quiet()


def test_progress_comes_from_the_calling_thread_and_counts_up() -> None:
    heard: list[Progress] = []
    threads = set()

    def listen(progress: Progress) -> None:
        heard.append(progress)
        threads.add(threading.current_thread())

    line = Line(frames=50, trouble=lambda stage, frame: pause(0.001))
    line.run(listen)
    assert threads == {threading.main_thread()}
    assert [p.frames for p in heard] == sorted(p.frames for p in heard)
    assert heard[-1].frames == 50
    assert heard[-1].timing == Timing(pts=49, duration=1, time_base=Fraction(1, 25))
    assert heard[-1].elapsed >= heard[0].elapsed > 0


def test_the_first_frame_is_reported_without_waiting_for_the_interval() -> None:
    heard: list[int] = []
    first = threading.Event()

    def listen(progress: Progress) -> None:
        heard.append(progress.frames)
        first.set()

    def trouble(stage: str, frame: int) -> None:
        if (stage, frame) == ("decode", 4):
            assert first.wait(60), "no progress although frames have passed"

    line = Line(slots=2, trouble=trouble)
    line.pipeline.run(listen, interval=3600)
    assert 1 <= heard[0] <= 4
    assert heard[1:] == [FRAMES]


@pytest.mark.parametrize("error", [Broken("in the callback"), KeyboardInterrupt(), SystemExit(1)])
def test_an_exception_in_the_progress_callback_stops_the_run(error: BaseException) -> None:
    def listen(progress: Progress) -> None:
        raise error

    line = Line(frames=1_000_000)
    with pytest.raises(type(error)) as caught:
        line.run(listen)
    assert caught.value is error
    assert line.pipeline.failures[0].stage == "progress"


def test_a_live_source_never_waits_and_the_newest_frame_wins() -> None:
    """The engine is held still while the source goes on: old frames are taken back, none is reordered."""
    gate = threading.Event()

    def trouble(stage: str, frame: int) -> None:
        if (stage, frame) == ("engine", 0):
            gate.wait(60)
        if (stage, frame) == ("decode", 49):
            gate.set()

    line = Line(frames=50, slots=4, trouble=trouble, overflow=Overflow.DROP_OLDEST)
    stats = line.run()
    decode = stats.stages["decode"]
    assert decode.frames == 50
    assert decode.dropped >= 47
    assert len(line.seen) == 50 - decode.dropped
    assert line.seen == sorted(line.seen)
    assert line.seen[-1] == 49


def test_slots_serve_many_runs() -> None:
    line = Line()
    for attempt in range(50):
        again = Line(frames=attempt % 7, trouble=fail_at("engine", 3, Broken("sometimes")))
        again.pipeline = Pipeline(
            line.slots,
            [
                Stage(name="decode", work=again.fill),
                Stage(name="engine", work=again.step),
                Stage(name="encode", work=again.drain),
            ],
        )
        again.slots = line.slots
        if attempt % 7 > 3:
            with pytest.raises(Broken):
                again.run()
        else:
            again.run()


def test_a_pipeline_runs_only_once() -> None:
    line = Line()
    line.run()
    with pytest.raises(RuntimeError, match="only once"):
        line.run()


def test_stages_need_different_names() -> None:
    line = Line()
    with pytest.raises(ValueError, match="different names"):
        Pipeline(line.slots, [Stage(name="a", work=line.fill), Stage(name="a", work=line.drain)])
    with pytest.raises(ValueError, match="different names"):
        Pipeline(line.slots, [])


def test_a_thread_that_cannot_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(frames=1_000_000)
    worker = line.pipeline._workers[1]

    def refuse() -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(worker, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        line.run()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    frames=st.integers(0, 9),
    slots=st.integers(1, 6),
    asynchronous=st.booleans(),
    stage=st.sampled_from(STAGES),
    frame=st.integers(0, 9),
    what=st.sampled_from(["nothing", "raise", "enough", "ctrl-c", "completion"]),
    naps=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0005]), min_size=1, max_size=7),
)
def test_any_schedule(
    frames: int, slots: int, asynchronous: bool, stage: str, frame: int, what: str, naps: list[float]
) -> None:
    """Whatever happens when: what the sink has seen is a gapless beginning of the stream."""
    line = Line(
        frames=frames,
        slots=slots,
        asynchronous=asynchronous,
        failing_completion=frame if what == "completion" else None,
    )

    def trouble(now: str, number: int) -> bool | None:
        if nap := naps[(number * 3 + STAGES.index(now)) % len(naps)]:
            pause(nap)
        if (now, number) != (stage, frame):
            return None
        if what == "raise":
            raise line.error
        if what == "ctrl-c":
            _thread.interrupt_main()
        return False if what == "enough" else None

    line.trouble = trouble
    outcome: BaseException | None = None
    try:
        line.run(lambda progress: None)
    except (Broken, KeyboardInterrupt) as error:
        outcome = error
    assert line.seen == list(range(len(line.seen)))
    struck = frame < frames
    if struck and (what == "raise" or (what == "completion" and asynchronous)):
        assert outcome is line.error
        assert len(line.seen) <= frame
    elif struck and what == "ctrl-c":
        assert isinstance(outcome, KeyboardInterrupt)
    elif struck and what == "enough":
        assert outcome is None
        assert len(line.seen) == frame
    else:
        assert outcome is None
        assert line.seen == list(range(frames))
        assert line.finished == ["engine", "encode"]


@pytest.mark.parametrize("complete", [True, None])
def test_ctrl_c_while_the_last_stage_finishes(complete: bool | None) -> None:
    """A result that is complete stands, and nothing is raised; one that is not is interrupted."""
    rest = iter(range(3))

    def finish() -> bool | None:
        _thread.interrupt_main()
        time.sleep(0.3)  # the supervisor sees it meanwhile
        return complete

    pipeline = Pipeline(
        [Slot((bytearray(1),), (bytearray(1),))],
        [
            Stage(name="decode", work=lambda slot: next(rest, None) is not None),
            Stage(name="encode", work=lambda slot: None, finish=finish),
        ],
    )
    if complete:
        assert pipeline.run().stages["encode"].frames == 3
    else:
        with pytest.raises(KeyboardInterrupt):
            pipeline.run()
