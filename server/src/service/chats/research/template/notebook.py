import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _(mo):
    mo.md("# " + {{ topic | tojson }} + "\n\nRun with `marimo edit notebook.py`.")
    return


if __name__ == "__main__":
    app.run()
