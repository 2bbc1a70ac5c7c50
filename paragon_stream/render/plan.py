"""The plan of a render: all decisions before the first frame, from a request and its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from paragon_stream.checkpoint import Weights
from paragon_stream.errors import UsageError
from paragon_stream.framejob.temporal import Temporal
from paragon_stream.geometry import Placement
from paragon_stream.media.decode.decoder_choice import parse_hwaccel
from paragon_stream.media.facts.image_kinds import is_image_name
from paragon_stream.media.facts.info import MediaInfo
from paragon_stream.media.images.numbering import Numbering, numbering
from paragon_stream.media.images.sequence_writer import plan_sequence
from paragon_stream.media.output.plan import OutputPlan, plan_output
from paragon_stream.media.prepare import prepare
from paragon_stream.media.source.opening import check_name
from paragon_stream.media.source.pipes import end_pipe
from paragon_stream.options.option import part
from paragon_stream.options.output import OutputOptions
from paragon_stream.render.identity import identity_of
from paragon_stream.render.repeats import Repeats, parse_reuse
from paragon_stream.render.request import RenderRequest
from paragon_stream.render.size_estimate import estimated_bytes
from paragon_stream.upscaler import choose_network, doubts, parse_strength


@dataclass(frozen=True, kw_only=True)
class RenderPlan:
    """All decisions about a render. `run` carries it out.

    Decisions that depend on the machine are not included: the engine's device, and the decoder. Therefore the
    plan is the same on every machine that has the files.
    """

    request: RenderRequest
    source: MediaInfo
    """The source: the file, its video, the selected part, the treatment of fields."""
    weights: Weights
    """The network."""
    placement: Placement
    """The size of the result, and the position of the picture in it."""
    output: OutputPlan
    """The output, and the treatment of each stream."""

    @property
    def identity(self) -> Mapping[str, str]:
        """Equal for two renders that give the same file; see `identity_of`."""
        return self.output.identity

    @property
    def follows_strength(self) -> bool:
        """Whether the strength of compression is measured for every frame: conditioned weights need it."""
        return self.weights.spec.conditioned and parse_strength(self.request.strength) is None

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each stream or property that cannot be carried over."""
        return self.output.losses

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each loss, each guess and each unusual option."""
        beyond = beyond_the_network(self.weights, self.placement)
        return (*doubts(self.request), *self.source.hints, *self.output.warnings, *beyond)

    @property
    def estimated_bytes(self) -> int | None:
        """The estimated size of the output in bytes; None if unknown. See `render.size_estimate`."""
        return estimated_bytes(self.output, self.source)

    def repeats(self) -> Repeats:
        """A detector of repeated frames, for one pass over the source. It finds none in the video mode, where
        results depend on earlier frames."""
        alone = Temporal.parse(self.request.temporal) is Temporal.OFF
        wanted = alone and parse_reuse(self.request.reuse_duplicates)
        return Repeats(conditioned=self.weights.spec.conditioned, wanted=wanted)

    def describe(self) -> tuple[str, ...]:
        """A line for the video, then one for each other stream."""
        return self.output.describe()


def plan_render(request: RenderRequest, *, existing: bool = False) -> RenderPlan:
    """Decide how `request` is rendered. Files are read; nothing is written.

    An output that is `existing` is only read, so that its folder need not be writable.

    Raises UsageError for options that are invalid or contradict each other, InputError for sources that
    cannot be read, CheckpointError for weights, FormatError for pictures that cannot be processed or already
    have the requested size, OutputError for a destination that cannot be written or exists already, and
    LossError for losses under `strict`.
    """
    parse_hwaccel(request.hwaccel)
    parse_reuse(request.reuse_duplicates)
    writing = part(request, OutputOptions)
    source, destination = request.source, request.destination
    check_name(source)
    check_name(destination)
    images = numbering(destination)
    if is_image_name(source) and is_image_name(destination) and not (images or numbering(source)):
        raise UsageError(f"{source} and {destination} are pictures: use upscale_images()")
    info = prepare(source, request)
    try:
        return _planned(request, info, writing, images, existing=existing)
    except BaseException:
        end_pipe(info.path)
        raise


def show_plan(plan: RenderPlan, show: Callable[[RenderPlan], None]) -> None:
    """Call `show` with `plan`. If it raises, `plan` is not run, and its pipe is closed."""
    try:
        show(plan)
    except BaseException:
        end_pipe(plan.source.path)
        raise


def _planned(
    request: RenderRequest,
    info: MediaInfo,
    writing: OutputOptions,
    images: Numbering | None,
    *,
    existing: bool,
) -> RenderPlan:
    video, destination = info.video, request.destination
    weights, placement = choose_network(
        video.format, request, grain=1 if images else video.grain, sideways=video.sideways
    )
    if images is not None:
        output = plan_sequence(info, images, placement, writing)
    else:
        output = plan_output(info, destination, placement, writing, existing=existing)
    identity = identity_of(info, weights, placement, request, output)
    return RenderPlan(
        request=request,
        source=info,
        weights=weights,
        placement=placement,
        output=replace(output, identity=identity),
    )


def beyond_the_network(weights: Weights, placement: Placement) -> list[str]:
    """A sentence if the network enlarges less than requested; otherwise empty."""
    scale, factor = weights.spec.scale, float(placement.factor)
    if factor <= 1.01 * scale:  # sides are rounded to even ones
        return []
    return [
        f"the network enlarges {scale} times; the rest of the way to {factor:.3g} times is plain resampling"
    ]
