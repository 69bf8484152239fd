DROP TABLE metric_checkpoint;
