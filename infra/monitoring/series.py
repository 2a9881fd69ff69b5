"""PromQL for the series of one stack. Every query of rules and dashboards is made of these. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from infra.naming import GATEWAY, Stack


@dataclass(frozen=True, slots=True)
class Series:
    """The series of one stack: those with its namespace."""

    stack: Stack

    def of(self, metric: str, *matchers: str, **labels: str) -> str:
        """Series of a metric, whoever reports it.

        Args:
            metric: Its name.
            matchers: Other than for equality, as PromQL writes them.
            labels: Values that labels must have.
        """
        equal = [
            f'{label}="{value}"' for label, value in {"namespace": self.stack.namespace, **labels}.items()
        ]
        return f"{metric}{{{', '.join([*equal, *matchers])}}}"

    def gateway(self, metric: str, *matchers: str, **labels: str) -> str:
        """What the gateway's replicas report. Of tool calls it is the whole: servers count theirs again."""
        return self.of(metric, *matchers, job=GATEWAY, **labels)

    def container(self, metric: str) -> str:
        """What the kubelet reports of containers, without the sums and pauses among them."""
        return self.of(metric, 'container!=""')


def share(part: str, whole: str, by: str = "") -> str:
    """What share one rate has in another, by some labels; 0 where there is only the whole."""
    grouped = f" by ({by})" if by else ""
    total = f"sum{grouped} ({whole})"
    return f"(sum{grouped} ({part}) or 0 * {total}) / ({total} > 0)"


def rose(counter: str, window: str) -> str:
    """Series of a counter that went up, also those that didn't exist before: `increase` is blind to these."""
    return f"(increase({counter}[{window}]) > 0) or (({counter} unless {counter} offset {window}) > 0)"


def slowest(histogram: str, quantile: float, window: str, by: str = "") -> str:
    """A quantile of a histogram, of all replicas together.

    Args:
        histogram: Its buckets' series.
        quantile: Between 0 and 1.
        window: How far back.
        by: Labels to tell apart by.
    """
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({quantile:g}, sum by ({labels}) (rate({histogram}[{window}])))"
