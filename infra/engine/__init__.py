"""The program without Pulumi's engine: record, graph, check, render, plan, direct."""
