"""Many studies, one after the other, with one loaded model; one that fails does not stop the rest."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from AMDiffLib.batch.config import BatchOptions
from AMDiffLib.batch.record import is_finished, is_ours, record_of, write_record
from AMDiffLib.batch.studies import Study, find_studies
from AMDiffLib.batch.summary import CANCELLED, DONE, FAILED, UNCHANGED, Row, write_summary
from AMDiffLib.command import named_error
from AMDiffLib.errors import BadInput, Cancelled, CannotWrite, SomeFailed
from AMDiffLib.inference.output_folder import OutputFolder, finish_replacement, has_leftovers
from AMDiffLib.inference.study import READING_SHARE, LoadedModel, Source, process_study
from AMDiffLib.inference.weights import check_model
from AMDiffLib.progress import OneOfMany, SilentReporter


class Batch:
    """Calling it does the work; `discard` removes what is unfinished, from any thread."""

    def __init__(self, options: BatchOptions, reporter: SilentReporter) -> None:
        self._options = options
        self._reporter = reporter
        self._model_sha256 = ""
        self._model_warnings: list[str] = []
        self._current: OutputFolder | None = None
        self._rows: list[Row] = []

    def __call__(self) -> None:
        """Process all studies that are not finished yet.

        Raises:
            BadInput: there are no studies, or the output folder cannot be written.
            BadCheckpoint, NoKernelImage, MissingPackage: nothing can be processed.
            Cancelled: results that are finished stay; a later batch goes on from there.
            SomeFailed: all were tried, and some failed.
        """
        options, reporter = self._options, self._reporter
        self._model_sha256 = check_model(options.model)["sha256"]
        # Resolved, so that results inside the tree are known as such whatever links lead there.
        tree, output = options.studies.expanduser().resolve(), options.output.expanduser().resolve()
        if output == tree or output in tree.parents:
            raise BadInput(
                f"The output folder {output} holds the studies. Choose another folder, or one inside it."
            )
        reporter.stage("find", "Looking for studies")
        studies = options.part.of(find_studies(tree, leave_out=output, pattern=options.pattern))
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"The output folder {output} cannot be written ({error.strerror}). Choose another folder."
            ) from error
        self._rows = [Row(study=study.place, results=study.name) for study in studies]
        try:
            waiting = self._not_finished(studies, output)
            self._write_summary(output)
            model = self._load_model() if waiting else None
            for number, (study, row) in enumerate(waiting):
                part = OneOfMany(
                    reporter, study.place, number=number, count=len(waiting), heard=self._model_warnings
                )
                self._one(study, row, model, output, part)
                self._write_summary(output)
        finally:
            self._write_summary(output)
        failed = sum(row.status == FAILED for row in self._rows)
        summary = str(output / options.part.summary_name)
        if failed:
            raise SomeFailed(
                f"{failed} of {len(studies)} studies failed; the others are finished. {summary} says why. "
                "Start the same command again when the causes are removed: what is finished is not repeated."
            )
        reporter.progress(1.0)
        reporter.done(
            output_dir=str(output),
            summary=summary,
            studies=len(studies),
            unchanged=sum(row.status == UNCHANGED for row in self._rows),
        )

    def discard(self) -> None:
        """Remove the unfinished results of the study at hand."""
        if self._current is not None:
            self._current.discard()

    def _not_finished(self, studies: Sequence[Study], output: Path) -> list[tuple[Study, Row]]:
        """What is to be done; the rows of finished and hopeless studies are filled."""
        self._reporter.stage("check", "Checking what is finished already")
        todo = []
        for study, row in zip(studies, self._rows, strict=True):
            self._reporter.check_cancelled()
            folder = output / study.name
            if study.problem:
                self._fail(row, BadInput(study.problem))
                continue
            try:
                finish_replacement(folder)
            except CannotWrite as error:
                self._fail(row, error)
                continue
            if is_ours(folder) and self._is_unchanged(study, folder):
                row.status = UNCHANGED
                row.take_results(folder)
            else:
                todo.append((study, row))
        # A study during which the process was ended comes last: if it was the cause, the others are done.
        return sorted(todo, key=lambda item: has_leftovers(output / item[0].name))

    def _is_unchanged(self, study: Study, folder: Path) -> bool:
        try:
            return is_finished(folder, self._record(study))
        except BadInput:
            return False  # it fails in its turn, with this reason

    def _record(self, study: Study) -> dict:
        try:
            return record_of(
                study.files,
                model_sha256=self._model_sha256,
                options={**asdict(self._options.study), "units": self._options.units},
            )
        except OSError as error:
            raise BadInput(f"A file of the study cannot be read ({error.strerror}).") from error

    def _load_model(self) -> LoadedModel:
        self._reporter.stage("load")
        model = LoadedModel.load(self._options.model, self._options.device, self._reporter)
        self._model_warnings = list(self._reporter.warnings)
        return model

    def _one(self, study: Study, row: Row, model: LoadedModel, output: Path, reporter: OneOfMany) -> None:
        began = time.monotonic()
        folder = output / study.name
        try:
            self._current = OutputFolder(folder, overwrite=is_ours(folder))
            self._process(study, model, self._current, reporter)
            row.status = DONE
            row.take_results(folder)
        except Cancelled:
            row.status = CANCELLED
            raise
        except Exception as error:
            named = named_error(error)
            if named is None or named is not error:
                traceback.print_exc()
            self._fail(row, named or error)
            row.warnings = list(reporter.warnings)
            _recover(model)
        finally:
            row.seconds = round(time.monotonic() - began, 1)
            self.discard()

    def _process(self, study: Study, model: LoadedModel, output: OutputFolder, reporter: OneOfMany) -> None:
        from AMDiffLib.image.reading import image_suffix, read_pet, read_pet_series

        reporter.check_cancelled()
        reporter.stage("read")
        began = time.monotonic()
        # Before the scan: a file that changes meanwhile makes the study unfinished, not wrongly finished.
        record = self._record(study)
        if image_suffix(study.files[0].name):
            source = Source(path=study.files[0], units=self._options.units)
            volume = read_pet(source.path, units=source.units)
        else:
            volume = read_pet_series(study.files, study.value_maps)
            source = Source(path=study.folder, series_uid=volume.source["series_uid"])
        for text in volume.warnings:
            reporter.warning(text)
        seconds = {"read": round(time.monotonic() - began, 3)}
        reporter.progress(READING_SHARE)
        reporter.check_cancelled()
        temporary = output.prepare()
        process_study(
            volume,
            model,
            self._options.study,
            source=source,
            folder=temporary,
            reporter=reporter,
            seconds=seconds,
        )
        write_record(temporary, record)
        reporter.check_cancelled()
        output.publish()
        reporter.progress(1.0)

    def _fail(self, row: Row, error: BaseException) -> None:
        row.status = FAILED
        row.error_kind = getattr(error, "kind", "internal")
        row.error = str(error) or type(error).__name__
        self._reporter.warning(f"{row.study} failed ({row.error_kind}): {row.error}")

    def _write_summary(self, output: Path) -> None:
        write_summary(output / self._options.part.summary_name, self._rows)


def _recover(model: LoadedModel) -> None:
    """After a failure: give memory back; raise NoKernelImage where the GPU no longer computes at all.

    A fault of the driver would make every study that follows fail alike.
    """
    if model.device.type == "cuda":
        import torch

        from AMDiffLib.inference.device import check_cuda

        torch.cuda.empty_cache()
        check_cuda()
