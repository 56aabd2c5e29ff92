"""What scripts and the command line call: pipelines joined with tracking."""

from __future__ import annotations

from medseg.api.data import check_data, plan_data, prepare_data, show_data, write_sample
from medseg.api.description import Described, describe_pipeline
from medseg.api.drafting.unknown_folder import NewPipeline, new_pipeline, scan
from medseg.api.exporting.deidentification import Deidentified, deidentify
from medseg.api.exporting.key_maps import write_case_map
from medseg.api.exporting.models import ExportedModel, export
from medseg.api.finding import find_run_folder, mark_gone
from medseg.api.folds import resume_folds, run_folds
from medseg.api.folds_found import are_folds
from medseg.api.folds_result import FoldsResult
from medseg.api.kept.auditing import audit_run
from medseg.api.kept.comparing import compare, keep_comparison
from medseg.api.kept.deleting import delete_run
from medseg.api.kept.listing import runs, show_run
from medseg.api.kept.moving import move_run
from medseg.api.kept.reproducing import reproduce_run
from medseg.api.kept.syncing import sync_runs
from medseg.api.models import load_model, save_servable
from medseg.api.opening import check_pipeline, load_pipeline, open_pipeline
from medseg.api.predicting.asking import PredictedCase
from medseg.api.prediction import predict
from medseg.api.reporting.report import report
from medseg.api.result import RunResult
from medseg.api.running import resume_pipeline, run_pipeline
from medseg.api.scoring.external import evaluate
from medseg.api.sweeping.finding import sweep_to_go_on
from medseg.api.sweeping.result import SweepResult
from medseg.api.sweeping.sweep import resume_sweep, run_sweep
from medseg.api.viewing.view import view
from medseg.pipeline.options import default_jobs

__all__ = [
    "Deidentified",
    "Described",
    "ExportedModel",
    "FoldsResult",
    "NewPipeline",
    "PredictedCase",
    "RunResult",
    "SweepResult",
    "are_folds",
    "audit_run",
    "check_data",
    "check_pipeline",
    "compare",
    "default_jobs",
    "deidentify",
    "delete_run",
    "describe_pipeline",
    "evaluate",
    "export",
    "find_run_folder",
    "keep_comparison",
    "load_model",
    "load_pipeline",
    "mark_gone",
    "move_run",
    "new_pipeline",
    "open_pipeline",
    "plan_data",
    "predict",
    "prepare_data",
    "report",
    "reproduce_run",
    "resume_folds",
    "resume_pipeline",
    "resume_sweep",
    "run_folds",
    "run_pipeline",
    "run_sweep",
    "runs",
    "save_servable",
    "scan",
    "show_data",
    "show_run",
    "sweep_to_go_on",
    "sync_runs",
    "view",
    "write_case_map",
    "write_sample",
]
